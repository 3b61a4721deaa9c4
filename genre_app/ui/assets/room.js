// The room check of the Collect tab: play the test signal while the microphone records. gradio runs this once, after
// collect_shared.js, when the panel is first shown.

const PERMISSION_MS = 60000; // for the visitor to allow the microphone
const PATIENCE_MS = 5000; // for gradio's recorder and player to appear
const BEFORE_MS = 500; // recorded before the signal, whose own silence follows
const AFTER_MS = 1200; // after the signal: delay of the loudspeaker, wireless ones included, and reverberation
const LONGEST_MS = 20000; // the signal lasts 7 s; a loudspeaker that is gone never ends it

const panel = () => page("#room-take-microphone .mic-panel");
const recorder = (name) => page(`#room-take .${name}-button`);
const player = () => page("#room-signal audio");
let isRunning = false;

const say = sayIn("#room-said p");

const refused = () => panel()?.querySelector(".mic-problem").textContent && !panel().classList.contains("recording");

const playSignal = async () => {
  const sound = await appears(() => player()?.readyState >= 3 && player());
  if (!sound) throw new Error("The test signal could not be loaded: load this page again.");
  sound.currentTime = 0;
  sound.volume = 1;
  const ended = new Promise((done) => sound.addEventListener("ended", done, { once: true }));
  await sound.play().catch(() => {
    throw new Error("The browser does not let this page play sound: allow it beside the address.");
  });
  await Promise.race([ended, pause(LONGEST_MS)]);
};

const check = async () => {
  if (!navigator.mediaDevices) throw new Error(""); // the microphone's panel gives the reason
  if (page("#collect-strip[data-open]")) throw new Error("Stop the other recording first.");
  const music = panel().querySelector(".mic-mode input[value=music]");
  if (!music.checked) music.click(); // echo cancellation removes what the page plays
  say("Allow the microphone if the browser asks.");
  const record = await appears(() => recorder("record"));
  if (!record) throw new Error("The recorder could not be started: load this page again.");
  panel().querySelector(".mic-problem").textContent = ""; // of the last try
  record.click();
  const started = () => recorder("stop") && panel().classList.contains("recording");
  await appears(() => started() || refused(), PERMISSION_MS);
  if (!started()) throw new Error(refused() ? "" : "The microphone did not start: try again."); // the panel gives the reason
  say(""); // the microphone's panel says what to do
  await pause(BEFORE_MS);
  try {
    await playSignal();
    await pause(AFTER_MS);
    say("Measuring …");
  } finally {
    recorder("stop")?.click();
  }
};

window.genreRoom = {
  run: async () => {
    if (isRunning) return;
    isRunning = true;
    try {
      await check();
    } catch (error) {
      say(error.message, Boolean(error.message));
    }
    isRunning = false;
  },
  // The answer of the server has arrived.
  done: () => {
    say("");
    page("#room-card .card")?.scrollIntoView({ block: "nearest" });
  },
  // What the browser says that it did to the recording.
  settings: () => ({ noiseSuppression: window.genreMicrophone.settings("room-take")?.noiseSuppression ?? null }),
};
