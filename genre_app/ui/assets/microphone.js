// The microphone as music needs it. gradio asks for {audio: true}, which turns on the browser's processing for speech,
// and gradio says nothing when the microphone is refused.

const STORED = "genre-app-microphone"; // key of the mode in the browser's storage
const PROCESSING = { echoCancellation: "echo cancellation", noiseSuppression: "noise suppression", autoGainControl: "automatic gain" };
const ABOUT = {
  music: "Raw sound, best for music.",
  speech: "Removes noise and echo, as for a phone call, and much of the music with them.",
};
const MOST_TRIES = 20; // to start gradio's recorder of streams
const RETRY_MS = 500;
const MOST_FRAMES = 600; // ten seconds at 60 frames a second, for the answer to the browser's question

const panels = () => [...document.querySelectorAll(".mic-panel")];
const shownPanel = () => panels().find((panel) => panel.offsetParent) ?? panels()[0];

let mode = "music";
let disobeys = false; // the browser suppresses noise although music was asked for
const owners = new WeakMap(); // panel of each stream
const settings = new Map(); // of each panel's latest stream

// The switch between music and speech.
const showMode = (panel) => {
  for (const input of panel.querySelectorAll(".mic-mode input")) input.checked = input.value === mode;
  part(panel, "about").textContent = `${ABOUT[mode]} Applies from the next recording.`;
};
try {
  if (localStorage.getItem(STORED) === "speech") mode = "speech";
} catch {} // where storage is forbidden, the choice lasts as long as the page

const chooseMode = (chosen) => {
  mode = chosen;
  try {
    localStorage.setItem(STORED, mode);
  } catch {}
  panels().forEach(showMode);
};

// gradio builds a tab when it is first opened, so panels appear one by one.
const prepare = () => {
  for (const panel of document.querySelectorAll(".mic-panel:not([data-ready])")) {
    panel.dataset.ready = "";
    showMode(panel);
    if (!navigator.mediaDevices?.getUserMedia)
      complain(
        panel,
        "Browsers allow a microphone only over https, or at 127.0.0.1. Open the page at such an address, or upload a file.",
      );
  }
  // Screen readers announce Live's answer when it changes.
  document.querySelector("#live-said:not([aria-live])")?.setAttribute("aria-live", "polite");
};
new MutationObserver(prepare).observe(document.documentElement, { subtree: true, childList: true });

// Another clip: the remarks about the last take go.
const forget = () => {
  for (const panel of panels()) {
    if (Recording.running.has(panel) || !navigator.mediaDevices) continue;
    panel.classList.remove("heard");
    part(panel, "say").textContent = part(panel, "problem").textContent = "";
  }
};
document.addEventListener("change", ({ target }) => {
  if (target.matches?.(".mic-mode input")) chooseMode(target.value);
  if (target.matches?.("#music input[type=file]")) forget();
});
document.addEventListener("drop", forget);
document.addEventListener(
  "click",
  ({ target }) => {
    if (target.closest?.(".examples button, #music .icon-button")) forget();
  },
  true, // before gradio removes the button
);

// gradio replaces Record by a spinner and then by Stop, and back, and each time drops the keyboard's focus.
const keepFocus = async ({ target }) => {
  const recorder = target.closest?.(".mic-wrap :is(.record-button, .stop-button)")?.closest("#music, #live");
  for (let frame = 0; recorder && frame < MOST_FRAMES; frame++) {
    await new Promise(requestAnimationFrame);
    const active = document.activeElement;
    if (active !== document.body && !recorder.contains(active)) return; // the visitor has moved on
    const buttons = [...recorder.querySelectorAll(".mic-wrap :is(.record-button, .stop-button)")];
    if (active === document.body) buttons.find((button) => button.offsetParent)?.focus({ preventScroll: true });
  }
};
document.addEventListener("click", keepFocus, true); // before gradio removes the button
// Who presses Live's own Record listens as long as they like.
document.addEventListener("click", ({ isTrusted, target }) => {
  if (isTrusted && target.closest?.("#live .record-button")) Recording.once = false;
});

const checkSettings = (panel, found) => {
  settings.set(panel, found);
  if (mode !== "music") return;
  disobeys = found.noiseSuppression === true;
  const on = Object.keys(PROCESSING).filter((key) => found[key] === true);
  if (on.length) {
    const names = on.map((key) => PROCESSING[key]).join(" and ");
    complain(panel, `This browser keeps its ${names} on, so the answer may be wrong: try another browser.`);
  } else if (found.echoCancellation === undefined)
    complain(panel, "This browser does not say whether it changes the sound.");
};

const explain = (panel, error) => {
  const way = window === top ? "allow it beside the address, then record again" : "open the page in a tab of its own";
  const words = {
    NotAllowedError: `The browser does not let this page use the microphone: ${way}.`,
    NotFoundError: "No microphone was found: plug one in, then record again.",
    NotReadableError: "The microphone does not answer: close other programs that use it, or choose another one.",
  };
  complain(panel, words[error.name] ?? `No microphone could be opened (${error.name}): choose another one, then record again.`);
};

// Open the device that is chosen: gradio shows the devices, but always asks for the default one.
const open = async (panel, ask, wanted) => {
  const audio = wanted.audio === true ? {} : { ...wanted.audio };
  for (const key of Object.keys(PROCESSING)) audio[key] = mode === "speech";
  const chosen = document.querySelector(`#${panel.dataset.recorder} select.mic-select`)?.value;
  if (!chosen) return ask({ ...wanted, audio });
  try {
    return await ask({ ...wanted, audio: { ...audio, deviceId: { exact: chosen } } });
  } catch (error) {
    if (error.name !== "OverconstrainedError") throw error;
    const stream = await ask({ ...wanted, audio });
    complain(panel, "The chosen microphone is gone, so the default one records.");
    return stream;
  }
};

// WebKit frees `navigator.mediaDevices` and what was set on it when no script holds it, but it keeps the prototype.
if (navigator.mediaDevices?.getUserMedia) {
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (wanted) {
    const ask = (constraints) => getUserMedia.call(this, constraints);
    const panel = shownPanel();
    if (!panel || !wanted?.audio || wanted.video) return ask(wanted);
    if (!Recording.running.has(panel)) part(panel, "problem").textContent = "";
    let stream;
    try {
      stream = await open(panel, ask, wanted);
    } catch (error) {
      explain(panel, error);
      throw error;
    }
    owners.set(stream, panel);
    checkSettings(panel, stream.getAudioTracks()[0].getSettings());
    try {
      Recording.follow(panel, stream);
    } catch (error) {
      console.error(error); // recording works without the meter
    }
    return stream;
  };
}

// gradio's recorder of streams fails if Record is pressed before it is ready, as on a slow machine: its class is still undefined
// then ("... is not a constructor"), or its encoder is not registered. Press again.
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") return event.preventDefault(); // gradio's player gives up a file that was replaced
  const live = [...Recording.running.values()].find(({ isLive }) => isLive);
  if (!live || live.isUnderway || !["NotSupportedError", "TypeError"].includes(event.reason?.name)) return;
  event.preventDefault(); // it is dealt with here, so the console need not report it
  const { panel } = live;
  press(panel, "stop");
  if (++Recording.tries < MOST_TRIES) setTimeout(() => panel.offsetParent && press(panel, "record"), RETRY_MS);
  else complain(panel, "The recorder could not be started: load this page again.");
});

// gradio records takes as Opus. Ask for plain samples; where a browser cannot write them, for Opus at its highest rate.
const PLAIN = "audio/webm;codecs=pcm";
const OPUS_BITS_PER_SECOND = 256_000;
const EMPTY_BYTES = 1000; // Chromium's header has 110 bytes (measured)
if (window.MediaRecorder) {
  window.MediaRecorder = class extends MediaRecorder {
    constructor(stream, options = {}) {
      const isTake = options.mimeType === "audio/webm" || options.mimeType === "audio/mp4";
      const better = MediaRecorder.isTypeSupported(PLAIN) ? { mimeType: PLAIN } : { audioBitsPerSecond: OPUS_BITS_PER_SECOND };
      super(stream, isTake ? { ...options, ...better } : options);
      const panel = owners.get(stream) ?? shownPanel();
      const recording = () => Recording.running.get(panel);
      this.addEventListener("pause", () => recording()?.pause());
      this.addEventListener("resume", () => recording() && (recording().paused = false));
    }
  };
}

// gradio decodes a take before it uploads it. If that fails, it says nothing, and Record is gone. A take that was stopped before
// its first block of samples is only a header, so let it pass as a sound of one sample: the server says that it is too short.
if (window.OfflineAudioContext) {
  window.OfflineAudioContext = class extends OfflineAudioContext {
    async decodeAudioData(data) {
      const isEmpty = data.byteLength < EMPTY_BYTES; // read before the browser takes the data
      try {
        return await super.decodeAudioData(data);
      } catch (error) {
        if (isEmpty) return new AudioBuffer({ length: 1, sampleRate: this.sampleRate });
        complain(shownPanel(), "The browser cannot read what it recorded: load this page again, and record less.");
        throw error;
      }
    }
  };
}

window.genreMicrophone = {
  // Settings of a recorder's latest stream.
  settings: (recorder = "music") => settings.get(panels().find((panel) => panel.dataset.recorder === recorder)) ?? null,
  // Let Live stop by itself, once the answer is sure or 15 s are heard.
  listenOnce: () => (Recording.once = true),
  // Whether the next recording will have gone through noise suppression.
  suppresses: () => mode === "speech" || disobeys,
};
