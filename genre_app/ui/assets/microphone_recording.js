// The panel beside a recorder, and the recording that it shows: time, level, and what to do better.

const CLIPPED = 0.99; // peak, of full scale
const SILENT_DB = -60; // peak of the last 3 s; genre_app/predict.py calls the same level silent
const QUIET_DB = -40; // peak of the last 3 s
const FLOOR_DB = -60; // left end of the meter
const LATELY_MS = 3000;
const HOLD_MS = 1500; // the meter's peak mark stays this long
const WRITE_MS = 250; // between two changes of the numbers
const RELEASE_MS = 500; // between two attempts to stop gradio's recorder
const STEP_MS = 66; // shorter than the analyser's 4096 samples, so that no peak is missed
const LONG_SECONDS = 480; // nine minutes of stereo samples at 44.1 kHz are 95 MB; the server takes 100 MB
const [LEAST_SECONDS, ENOUGH_SECONDS] = [5, 15]; // of music for a sure answer, and of a recording begun with Listen
const LEAST_NOISE_SECONDS = 2; // of spectra, before noise is named

// Each is shown once this many seconds of music are heard.
const FIRST_HINTS = [
  [0, "Listening. 5 s is enough; 15 s is better."],
  [5, "5 s heard: enough to classify; 15 s is better."],
];
const HINTS = {
  take: [...FIRST_HINTS, [15, "15 s heard: stop when you like."]],
  live: [...FIRST_HINTS, [15, "Listening to the last 30 s."]],
  example: [
    [0, "Listening. 6 s is enough; 30 s is the most."],
    [6, "6 s heard: enough. More is better, up to 30 s."],
  ],
  room: [[0, "Playing and recording: keep quiet for 9 seconds."]],
};

const part = (panel, name) => panel.querySelector(`.mic-${name}`);
const press = (panel, name) => document.querySelector(`#${panel.dataset.recorder} .mic-wrap .${name}-button`)?.click();

const say = (panel, words, warns = false) => {
  const place = part(panel, "say");
  if (place.textContent !== words) place.textContent = words;
  place.classList.toggle("warns", warns);
};
// A problem stays until the next recording; several may stand side by side.
const complain = (panel, words) => {
  const place = part(panel, "problem");
  if (!place.textContent.includes(words)) place.textContent = `${place.textContent} ${words}`.trim();
  panel.classList.add("heard");
};

const decibel = (value) => 20 * Math.log10(Math.min(1, Math.max(value, 1e-5)));
const inWords = (db) => (db < FLOOR_DB ? `under −${-FLOOR_DB} dBFS` : `${db < 0 ? "−" : ""}${Math.abs(db).toFixed(0)} dBFS`);
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

class Recording {
  static running = new Map(); // by panel: a take and Live may run at once
  static tries = 0; // to start Live since it last recorded
  static once = false; // Live was begun with Listen, so it stops by itself

  // Follow a stream. gradio opens the microphone twice, once for its own picture: the second stream continues the recording.
  static follow(panel, stream) {
    let recording = Recording.running.get(panel);
    if (recording && recording.track.readyState !== "live") recording.finish();
    if (!Recording.running.has(panel)) recording = new Recording(panel);
    recording.attach(stream);
    if (!recording.stepping) recording.step();
  }

  constructor(panel) {
    const now = performance.now();
    this.panel = panel;
    this.isLive = panel.dataset.kind === "live";
    this.seconds = 0; // recorded
    this.musicSeconds = 0; // recorded that are neither silence nor noise
    this.steppedAt = now;
    this.wroteAt = 0;
    this.peaks = [[now, 0]]; // of the last 3 s
    [this.hold, this.heldAt] = [-Infinity, now]; // the meter's peak mark, dB
    [this.clipped, this.clippedAt] = [false, -Infinity];
    [this.isNoise, this.isJudged, this.spectra, this.turn] = [false, false, [], 0];
    Recording.running.set(panel, this);
    panel.classList.add("recording", "heard");
  }

  attach(stream) {
    this.context?.close();
    this.context = new AudioContext();
    this.analyser = new AnalyserNode(this.context, { fftSize: 4096 });
    this.samples = new Float32Array(this.analyser.fftSize);
    const fftSize = 2 ** Math.round(Math.log2(this.context.sampleRate * NOISE.frame));
    this.spectrum = new AnalyserNode(this.context, { fftSize, smoothingTimeConstant: 0 });
    this.context.createMediaStreamSource(stream).connect(this.analyser).connect(this.spectrum);
    [this.track] = stream.getAudioTracks();
    this.track.addEventListener("ended", () => {
      complain(this.panel, "The microphone was unplugged or another program took it. The sound until then is kept.");
      press(this.panel, "stop"); // gradio goes on with a stream that has ended
    });
    this.attachedAt = performance.now();
    this.paused = false;
  }

  step() {
    this.stepping = true;
    if (Recording.running.get(this.panel) !== this) return;
    if (this.track.readyState === "ended") return this.finish();
    if (this.isLive && !this.panel.offsetParent) return this.leave();
    const now = performance.now();
    if (!this.paused) this.measure(now, (now - this.steppedAt) / 1000);
    if (this.isLive && Recording.once) this.stopIfEnough();
    this.steppedAt = now;
    setTimeout(() => this.step(), STEP_MS);
  }

  measure(now, seconds) {
    this.seconds += seconds;
    if (this.isLive && this.isUnderway) Recording.tries = 0;
    // On a busy machine noise is judged late; until then, nothing is called enough.
    const mayBeEnough = this.isJudged || this.musicSeconds + seconds < LEAST_SECONDS;
    if (mayBeEnough && !this.isNoise && this.latePeakDb() >= SILENT_DB) this.musicSeconds += seconds;
    this.analyser.getFloatTimeDomainData(this.samples);
    const peak = this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    if (peak >= CLIPPED) [this.clipped, this.clippedAt] = [true, now];
    this.peaks = [...this.peaks.filter(([then]) => now - then < LATELY_MS), [now, peak]];
    this.draw(now, decibel(peak));
    this.judge(now);
    this.advise(now);
  }

  stopIfEnough() {
    const isSure = document.querySelector("#live-vote .card[data-sure]") !== null && this.musicSeconds >= LEAST_SECONDS;
    if (!isSure && this.seconds < ENOUGH_SECONDS) return;
    this.farewell = isSure ? "Stopped, because the answer is sure." : `Stopped after ${ENOUGH_SECONDS} s.`;
    press(this.panel, "stop");
  }

  get isUnderway() {
    return this.seconds > 2;
  }

  latePeakDb() {
    return decibel(Math.max(...this.peaks.map(([, peak]) => peak)));
  }

  draw(now, db) {
    if (db >= this.hold || now - this.heldAt > HOLD_MS) [this.hold, this.heldAt] = [db, now];
    const place = (level) => Math.min(1, Math.max(0, 1 - level / FLOOR_DB));
    part(this.panel, "bar").style.transform = `scaleX(${place(db)})`;
    part(this.panel, "hold").style.left = `${100 * place(this.hold)}%`;
    const meter = part(this.panel, "meter");
    meter.classList.toggle("hot", now - this.clippedAt < LATELY_MS);
    if (now - this.wroteAt < WRITE_MS) return;
    this.wroteAt = now;
    part(this.panel, "db").textContent = inWords(this.hold);
    part(this.panel, "time").textContent = clock(this.seconds);
    meter.setAttribute("aria-valuenow", Math.max(FLOOR_DB, Math.round(db)));
    meter.setAttribute("aria-valuetext", inWords(db));
  }

  // Every second step takes a spectrum; every eighth judges those of the last seconds.
  judge(now) {
    if (++this.turn % 2 || now - this.attachedAt < 2000 * NOISE.frame) return;
    const decibels = new Float32Array(this.spectrum.frequencyBinCount);
    this.spectrum.getFloatFrequencyData(decibels);
    const power = decibels.map((db) => 10 ** (db / 10));
    if (power.some((value) => value > 0)) this.spectra.push([now, power]);
    while (this.spectra.length && now - this.spectra[0][0] > 1000 * NOISE.judged) this.spectra.shift();
    if (this.turn % 8) return;
    const most = this.track.getSettings().noiseSuppression ? NOISE.suppressedVariation : NOISE.variation;
    const enough = this.spectra.length && now - this.spectra[0][0] > 1000 * LEAST_NOISE_SECONDS;
    this.isJudged ||= Boolean(enough);
    this.isNoise = enough && isNoise(this.spectra.map(([, power]) => power), this.context.sampleRate, most);
  }

  advise(now) {
    const { panel } = this;
    const db = this.latePeakDb();
    const hint = HINTS[panel.dataset.kind].findLast(([from]) => this.musicSeconds >= from)[1];
    const warn = (words) => say(panel, words, true);
    if (!this.isLive && this.seconds > LONG_SECONDS) warn("Stop now: this page takes recordings of up to 9 minutes.");
    else if (now - this.clippedAt < LATELY_MS) warn("Clipping: turn the microphone's input down, or move away from the music.");
    else if (!this.isUnderway || panel.dataset.kind === "room") say(panel, hint);
    else if (db < SILENT_DB) warn("Silence: is the microphone muted, or the wrong one chosen?");
    else if (this.isNoise) warn("Noise only: move closer to the music, or turn it up.");
    else if (db < QUIET_DB) warn("Very quiet: move closer to the music, or turn the microphone's input up.");
    else say(panel, hint);
  }

  pause() {
    this.paused = true;
    part(this.panel, "bar").style.transform = "scaleX(0)";
    part(this.panel, "hold").style.left = 0;
    part(this.panel, "db").textContent = "";
    part(this.panel, "meter").classList.remove("hot");
    say(this.panel, "Paused. Press Resume to go on recording.");
  }

  // Nobody sees Live's answer on another tab, so the microphone is let go.
  leave() {
    this.release();
    this.finish();
    say(this.panel, "Stopped, because you left this tab. Press Record to listen again.");
  }

  // gradio's recorder may be without its button for a moment, so press until the microphone is off.
  release() {
    if (this.track.readyState !== "live") return;
    press(this.panel, "stop");
    setTimeout(() => this.release(), RELEASE_MS);
  }

  finish() {
    const { panel, clipped } = this;
    if (this.isLive && this.isUnderway) Recording.once = false;
    Recording.running.delete(panel);
    this.context.close();
    panel.classList.remove("recording");
    panel.classList.toggle("heard", clipped || this.farewell !== undefined || part(panel, "problem").textContent !== "");
    say(panel, clipped ? `${clock(this.seconds)} recorded. It clipped, so the answer may be wrong.` : (this.farewell ?? ""), clipped);
  }
}
