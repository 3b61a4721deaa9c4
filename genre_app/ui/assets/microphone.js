// The microphone as music needs it, and what a recording visitor has to know while it lasts. gradio asks for {audio: true}, which
// stands for processing made for speech, and says nothing when it is refused.
window.genreMicrophone = (() => {
  const STORED = "genre-app-microphone";
  const PROCESSING = { echoCancellation: "echo cancellation", noiseSuppression: "noise suppression", autoGainControl: "automatic gain" };
  const ABOUT = {
    music: "The browser leaves the sound as it is.",
    speech: "The browser takes noise and echo out as for a telephone call, and much of the music with them.",
  };
  // By the seconds in which something was heard that is no noise.
  const HINTS = {
    take: [
      [0, "Listening. 5 s are enough, 15 s are better."],
      [5, "5 s heard: enough to classify; 15 s is better."],
      [15, "15 s heard: that is plenty. Stop when you like."],
    ],
    live: [
      [0, "Listening. 5 s are enough, 15 s are better."],
      [5, "5 s heard: enough to classify; 15 s is better."],
      [15, "Listening to the last 30 s."],
    ],
  };
  const CLIPPED = 0.99; // of full scale
  const SILENT_DB = -60;
  const QUIET_DB = -40; // of the loudest peak in a while
  const FLOOR_DB = -60; // left end of the meter
  const LONG_SECONDS = 480; // of a take; the samples of ten minutes are more than the server takes
  const STEP_MS = 66; // less than the samples that the analyser holds, so that no peak is missed

  let mode = "music";
  try {
    if (localStorage.getItem(STORED) === "speech") mode = "speech";
  } catch {} // a browser that forbids storage forgets the choice

  const panels = () => [...document.querySelectorAll(".mic-panel")];
  const shown = () => panels().find((panel) => panel.offsetParent) ?? panels()[0];
  const part = (panel, name) => panel.querySelector(`.mic-${name}`);

  const say = (panel, words, warns = false) => {
    const place = part(panel, "say");
    if (place.textContent !== words) place.textContent = words;
    place.classList.toggle("warns", warns);
  };
  // What went wrong stays until the next recording; several sentences may come together.
  const complain = (panel, words) => {
    const place = part(panel, "problem");
    if (!place.textContent.includes(words)) place.textContent = `${place.textContent} ${words}`.trim();
    panel.classList.add("heard");
  };

  // The switch.
  const show = (panel) => {
    for (const input of panel.querySelectorAll(".mic-mode input")) input.checked = input.value === mode;
    part(panel, "about").textContent = `${ABOUT[mode]} A change acts on the next recording.`;
  };
  const prepare = () => {
    for (const panel of document.querySelectorAll(".mic-panel:not([data-ready])")) {
      panel.dataset.ready = "";
      show(panel);
      if (!navigator.mediaDevices?.getUserMedia)
        complain(
          panel,
          "This page cannot reach a microphone: browsers allow that only over https, or on the computer itself at 127.0.0.1. " +
            "Open the page at such an address, or upload a file.",
        );
    }
  };
  // What the Live tab's answer has become is told to those who do not see it.
  const announce = () => document.querySelector("#live-said:not([aria-live])")?.setAttribute("aria-live", "polite");
  new MutationObserver(() => (prepare(), announce())).observe(document.documentElement, { subtree: true, childList: true });
  document.addEventListener("change", (event) => {
    if (event.target.matches?.(".mic-mode input")) {
      mode = event.target.value;
      try {
        localStorage.setItem(STORED, mode);
      } catch {}
      panels().forEach(show);
    }
    if (event.target.matches?.("#music input[type=file]")) forget();
  });
  // What was said of a take goes with it.
  const forget = () => {
    for (const panel of panels()) {
      if (sessions.has(panel) || !navigator.mediaDevices) continue;
      panel.classList.remove("heard");
      part(panel, "say").textContent = part(panel, "problem").textContent = "";
    }
  };
  document.addEventListener("drop", forget);
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.(".examples button, #music [aria-label=Clear]")) forget();
    },
    true, // before gradio takes the button away
  );

  // The recordings that go on, by the panel that shows them: what is heard, how long. Live goes on while a take is recorded.
  const sessions = new Map();
  const owners = new WeakMap(); // a stream's panel
  let tries = 0; // to start one that did not begin

  const decibel = (value) => 20 * Math.log10(Math.min(1, Math.max(value, 1e-5)));
  const spoken = (db) => (db < FLOOR_DB ? `under −${-FLOOR_DB} dBFS` : `${db < 0 ? "−" : ""}${Math.abs(db).toFixed(0)} dBFS`);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  const draw = (session, now, peak) => {
    const { panel } = session;
    const db = decibel(peak);
    if (db >= session.hold || now - session.heldAt > 1500) [session.hold, session.heldAt] = [db, now];
    const place = (level) => Math.min(1, Math.max(0, 1 - level / FLOOR_DB));
    part(panel, "bar").style.transform = `scaleX(${place(db)})`;
    part(panel, "hold").style.left = `${100 * place(session.hold)}%`;
    part(panel, "meter").classList.toggle("hot", now - session.clippedAt < 3000);
    if (now - session.wroteAt < 250) return;
    session.wroteAt = now;
    part(panel, "db").textContent = spoken(session.hold);
    part(panel, "time").textContent = clock(session.seconds);
    part(panel, "meter").setAttribute("aria-valuenow", Math.max(FLOOR_DB, Math.round(db)));
    part(panel, "meter").setAttribute("aria-valuetext", spoken(db));
  };

  // Whether the last seconds were noise and nothing else, told as the server tells it of the whole take, with its numbers
  // (genre_app/features/noise.py): the energy of a band of noise varies by chance alone, and no tone stands out of it.
  const NOISE = window.genreNoise;
  const JUDGED_SECONDS = 6;
  const LEAST_SECONDS = 2;
  const quantile = (values, share) => values.sort((a, b) => a - b)[Math.round(share * (values.length - 1))];
  const isNoise = (spectra, rate, most) => {
    const bin = (hertz) => Math.round((hertz * 2 * spectra[0].length) / rate);
    const highest = 0.45 * rate;
    const mean = new Float64Array(spectra[0].length);
    for (const spectrum of spectra) spectrum.forEach((power, i) => (mean[i] += power / spectra.length));
    const sum = (values, from, to) => values.subarray(from, to).reduce((all, value) => all + value, 0);
    const edges = Array.from({ length: NOISE.bands + 1 }, (_, i) => bin(NOISE.lowest * (highest / NOISE.lowest) ** (i / NOISE.bands)));
    const bands = edges.slice(1).map((to, i) => ({ from: edges[i], to, energy: sum(mean, edges[i], to) }));
    const loudest = Math.max(...bands.map(({ from, to, energy }) => energy / (to - from)));
    const heard = bands.filter(({ from, to, energy }) => to > from && energy / (to - from) > NOISE.faint * loudest);
    const squares = mean.map((power) => power ** 2);
    for (const band of heard) {
      const { from, to, energy } = band;
      const equal = ((1 + 1 / spectra.length) * energy ** 2) / sum(squares, from, to);
      const k = Math.max(1, (Math.max(equal, (to - from) / 2) + 0.9) / 2); // bins of the analyser's window hang together
      band.weight = 1 / (1 / k + 1 / (2 * k ** 2) + 1 / (6 * k ** 3));
    }
    const weights = heard.reduce((all, { weight }) => all + weight, 0);
    const logs = spectra.map((spectrum) => {
      const row = heard.map(({ from, to }) => Math.log(Math.max(sum(spectrum, from, to), 1e-30)));
      const level = row.reduce((all, log, i) => all + (log * heard[i].weight) / weights, 0);
      return row.map((log) => log - level); // what all bands do together is left out
    });
    const spread = (i) => {
      const column = logs.map((row) => row[i]);
      return (quantile(column, 0.9) - quantile(column, 0.1)) / 2.5631;
    };
    if (heard.reduce((all, { weight }, i) => all + (weight * spread(i) ** 2) / heard.length, 0) > most) return false;
    const tones = mean.subarray(bin(NOISE.lowestTone), bin(highest));
    const stands = (power, i) => {
      const around = tones.subarray(Math.max(0, i - NOISE.around), i + NOISE.around + 1);
      let lower = 0; // than a tone by so much, as its neighbourhood's median has to be
      for (const other of around) if (other * NOISE.peak < power) lower++;
      return lower > around.length / 2;
    };
    return tones.filter(stands).reduce((all, power) => all + power, 0) < NOISE.tonal * sum(tones, 0, tones.length);
  };

  // Every other step a spectrum, and once in a while what they come to.
  const judge = (session, now) => {
    const { spectrum, spectra } = session;
    if (++session.turn % 2 || now - session.openedAt < 2000 * NOISE.frame) return;
    const decibels = new Float32Array(spectrum.frequencyBinCount);
    spectrum.getFloatFrequencyData(decibels);
    const power = decibels.map((db) => 10 ** (db / 10));
    if (power.some((value) => value > 0)) spectra.push([now, power]);
    while (spectra.length && now - spectra[0][0] > 1000 * JUDGED_SECONDS) spectra.shift();
    if (session.turn % 8) return;
    const most = session.track.getSettings().noiseSuppression ? NOISE.suppressedVariation : NOISE.variation;
    const enough = spectra.length && now - spectra[0][0] > 1000 * LEAST_SECONDS;
    session.noise = enough && isNoise(spectra.map(([, spectrum]) => spectrum), session.context.sampleRate, most);
  };

  const advise = (session, now) => {
    const { panel, seconds } = session;
    const lately = Math.max(...session.peaks.map(([, peak]) => peak)); // in the last 3 s
    const hint = HINTS[panel.dataset.kind].findLast(([from]) => session.heard >= from)[1];
    const warn = (words) => say(panel, words, true);
    if (panel.dataset.kind === "take" && seconds > LONG_SECONDS) warn("This page takes recordings of up to 9 minutes: stop now.");
    else if (now - session.clippedAt < 3000) warn("Clipping: too loud for the microphone. Turn its input down, or go further away.");
    else if (seconds < 2) say(panel, hint);
    else if (decibel(lately) < SILENT_DB) warn("Silence: nothing is heard. Is the microphone muted, or another one chosen?");
    else if (session.noise) warn("Noise: no music is heard. Go nearer to it, or turn it up.");
    else if (decibel(lately) < QUIET_DB) warn("Very quiet: go nearer to the music, or turn the microphone's input up.");
    else say(panel, hint);
  };

  const step = (session) => {
    if (sessions.get(session.panel) !== session) return; // gradio has opened the microphone once more
    if (session.track.readyState === "ended") return finish(session);
    const now = performance.now();
    if (!session.paused) {
      session.seconds += (now - session.at) / 1000;
      if (session.seconds > 2 && session.panel.dataset.kind === "live") tries = 0;
      if (!session.noise && decibel(Math.max(...session.peaks.map(([, peak]) => peak))) >= SILENT_DB)
        session.heard += (now - session.at) / 1000;
      session.analyser.getFloatTimeDomainData(session.samples);
      let peak = 0;
      for (const sample of session.samples) peak = Math.max(peak, Math.abs(sample));
      if (peak >= CLIPPED) [session.clippedAt, session.clipped] = [now, true];
      session.peaks = [...session.peaks.filter(([then]) => now - then < 3000), [now, peak]];
      draw(session, now, peak);
      judge(session, now);
      advise(session, now);
    }
    session.at = now;
    setTimeout(step, STEP_MS, session);
  };

  const pause = (session) => {
    const { panel } = session;
    session.paused = true;
    part(panel, "bar").style.transform = "scaleX(0)";
    part(panel, "hold").style.left = 0;
    part(panel, "db").textContent = "";
    part(panel, "meter").classList.remove("hot");
    say(panel, "Paused: nothing is recorded until you resume.");
  };

  const finish = ({ panel, context, seconds, clipped }) => {
    sessions.delete(panel);
    context.close();
    panel.classList.remove("recording");
    panel.classList.toggle("heard", clipped || part(panel, "problem").textContent !== "");
    say(panel, clipped ? `${clock(seconds)} recorded. It clipped: the answer may suffer from that.` : "", clipped);
  };

  const listen = (panel, stream) => {
    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", () => {
      complain(panel, "The microphone is gone: unplugged, or taken by another program. What was heard until then is kept.");
      document.querySelector(`#${panel.dataset.recorder} .mic-wrap .stop-button`)?.click(); // a stream has to be told
    });
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 4096 });
    const fftSize = 2 ** Math.round(Math.log2(context.sampleRate * NOISE.frame));
    const spectrum = new AnalyserNode(context, { fftSize, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(stream).connect(analyser).connect(spectrum);
    const now = performance.now();
    const before = sessions.get(panel);
    const goesOn = before?.track.readyState === "live"; // gradio opens the microphone twice, once for its own picture
    before?.context.close();
    const session = {
      ...{ seconds: 0, at: now, hold: -Infinity, heldAt: now, wroteAt: 0, clippedAt: -Infinity, clipped: false, peaks: [[now, 0]] },
      ...{ heard: 0, noise: false, spectra: [], turn: 0 },
      ...(goesOn ? before : {}),
      ...{ panel, track, context, analyser, spectrum, openedAt: now, samples: new Float32Array(analyser.fftSize), paused: false },
    };
    sessions.set(panel, session);
    panel.classList.add("recording", "heard");
    step(session);
  };

  const check = (panel, settings) => {
    if (mode !== "music") return;
    const on = Object.keys(PROCESSING).filter((key) => settings[key] === true);
    disobeys = settings.noiseSuppression === true;
    if (on.length) {
      const names = on.map((key) => PROCESSING[key]).join(" and ");
      complain(panel, `This browser keeps its ${names} on although music was asked for, so the answer may suffer; try another browser.`);
    } else if (settings.echoCancellation === undefined)
      complain(panel, "This browser does not tell whether it leaves the sound as it is.");
  };

  const explain = (panel, error) => {
    const words = {
      NotAllowedError: "The browser does not let this page use the microphone: allow it beside the address, then record again.",
      NotFoundError: "No microphone was found: plug one in, then record again.",
      NotReadableError: "The microphone does not answer: another program may be using it. Close that, or choose another one.",
    };
    complain(panel, words[error.name] ?? `No microphone could be opened (${error.name}): choose another, then record again.`);
  };

  const devices = navigator.mediaDevices;
  let settings = null; // of the latest recording
  let disobeys = false; // it suppresses noise although music was asked for
  if (devices?.getUserMedia) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const panel = shown();
      if (!panel || !wanted?.audio || wanted.video) return ask(wanted);
      const audio = wanted.audio === true ? {} : { ...wanted.audio };
      for (const key of Object.keys(PROCESSING)) audio[key] = mode === "speech";
      // gradio shows the devices but does not ask for the one that is chosen.
      const chosen = document.querySelector(`#${panel.dataset.recorder} select.mic-select`)?.value;
      if (!sessions.has(panel)) part(panel, "problem").textContent = "";
      try {
        let stream;
        try {
          stream = await ask({ ...wanted, audio: chosen ? { ...audio, deviceId: { exact: chosen } } : audio });
        } catch (error) {
          if (!chosen || error.name !== "OverconstrainedError") throw error;
          stream = await ask({ ...wanted, audio });
          complain(panel, "The chosen microphone is not there any more, so the usual one records.");
        }
        owners.set(stream, panel);
        settings = stream.getAudioTracks()[0].getSettings();
        check(panel, settings);
        try {
          listen(panel, stream);
        } catch (error) {
          console.error(error); // a meter that does not work is no reason not to record
        }
        return stream;
      } catch (error) {
        explain(panel, error);
        throw error;
      }
    };
  }

  // gradio does not wait until its recorder of streams is there: who presses Record before, as on a slow machine, would listen to
  // nothing. So it is pressed again for them.
  window.addEventListener("unhandledrejection", ({ reason }) => {
    const session = [...sessions.values()].find(({ panel }) => panel.dataset.kind === "live");
    if (!session || !["NotSupportedError", "TypeError"].includes(reason?.name)) return;
    const { panel } = session;
    if (session.seconds > 2) return; // it records, so what fails is something else
    const press = (name) => document.querySelector(`#${panel.dataset.recorder} .mic-wrap .${name}-button`)?.click();
    press("stop");
    if (++tries < 20) setTimeout(press, 500, "record");
    else complain(panel, "The recorder could not be started: load this page again.");
  });

  // A take that gradio records goes through Opus unless it is asked for as plain samples; where a browser cannot write those,
  // Opus gets as many bits as it can use.
  const PLAIN = "audio/webm;codecs=pcm";
  if (window.MediaRecorder) {
    window.MediaRecorder = class extends MediaRecorder {
      constructor(stream, options = {}) {
        const ofGradio = options.mimeType === "audio/webm" || options.mimeType === "audio/mp4";
        const better = MediaRecorder.isTypeSupported(PLAIN) ? { mimeType: PLAIN } : { audioBitsPerSecond: 256_000 };
        super(stream, ofGradio ? { ...options, ...better } : options);
        let size = 0;
        const panel = owners.get(stream) ?? shown();
        const session = () => sessions.get(panel);
        this.addEventListener("pause", () => session() && pause(session()));
        this.addEventListener("resume", () => session() && (session().paused = false));
        this.addEventListener("start", () => (size = 0));
        this.addEventListener("dataavailable", (event) => (size += event.data.size));
        this.addEventListener("stop", () => {
          if (ofGradio && !size && panel) complain(panel, "Nothing was recorded: let it run for 5 s before you stop.");
        });
      }
    };
  }

  return { settings: () => settings, suppresses: () => mode === "speech" || disobeys };
})();
