// What comes into a collection: files, folders and recordings.

const MOST_SECONDS = 30; // of a recording; the collection keeps no more of a clip
const LOOK_MS = 200; // between two looks at the recording's time
const LOST_MS = 10000; // after which a cancelled recording closes without the server's answer
const PATIENCE_MS = 3000; // for gradio's recorder to appear

// ---- Files ----

const megabytes = (bytes) => Math.round(bytes / 1e6);
const tooLarge = ({ name, size }, most) =>
  `${name}: ${megabytes(size)} MB are more than the ${megabytes(most)} MB that this page takes.`;

const send = async (genre, files) => {
  const large = files.find((file) => file.size > MAX_BYTES);
  if (large) return say(tooLarge(large, MAX_BYTES), true);
  const sent = [];
  try {
    for (const [number, file] of files.entries()) {
      say(`Uploading ${number + 1} of ${files.length}: ${file.name} …`);
      sent.push({ path: (await upload(file)).path, name: file.name });
    }
  } catch {
    if (!sent.length) return say("The upload failed: check the connection, then drop the files again.", true);
  }
  act({ do: "add", genre, files: sent, lost: files.length - sent.length }, () => card(genre)?.querySelector(".choose"));
};

const sendZip = async (file) => {
  if (file.size > MAX_ZIP_BYTES) return say(tooLarge(file, MAX_ZIP_BYTES), true);
  say(`Uploading ${file.name} …`);
  try {
    act({ do: "import", path: (await upload(file)).path, name: file.name }, () => page("#collect-import"));
  } catch {
    say("The upload failed: check the connection, then import the zip again.", true);
  }
};

const choose = (accept, multiple, use) => {
  const input = Object.assign(document.createElement("input"), { type: "file", accept, multiple });
  input.addEventListener("change", () => input.files.length && use([...input.files]));
  input.click();
};

const drop = (place, files) => {
  const [zip] = files.filter((file) => file.name.toLowerCase().endsWith(".zip"));
  const genre = genreOf(place) ?? (genres().length === 1 ? genres()[0] : null);
  if (zip) sendZip(zip);
  else if (genre) send(genre, files);
  else if (genres().length) say("Drop the files on the card of their genre.", true);
  else say("Add a genre first, then drop files on its card.", true);
};

// Folders on a card belong to its genre; elsewhere, each folder is a genre.
const dropFolders = async (genre, found) => {
  const names = new Set(found.map(({ folder }) => genre ?? folder).filter(Boolean));
  for (const name of names)
    await send(name, found.filter(({ folder }) => (genre ?? folder) === name).map(({ file }) => file));
  if (!found.length) say("These folders hold no audio files.", true);
};

// ---- Recording ----

const strip = () => page("#collect-strip");
const panel = () => page("#collect-take-microphone .mic-panel");
const recorder = (name) => page(`#collect-take .${name}-button`);

const closeTake = () => {
  take = null;
  delete strip().dataset.open;
  element.removeAttribute("data-recording");
};

const records = () => panel().classList.contains("recording");
const recordedSeconds = () => {
  const [minutes, seconds] = panel().querySelector(".mic-time").textContent.split(":").map(Number);
  return 60 * minutes + seconds;
};
const isRefused = () => panel().querySelector(".mic-problem").textContent !== "";

const stopTake = async (kept) => {
  if (!take) return;
  if (take.stopped) return kept ? undefined : closeTake(); // the upload may have failed
  if (!kept) {
    target = "";
    say("The recording was not kept."); // the server says so too, but a recording that never began does not reach it
  }
  const mine = take;
  const opener = () => card(mine.genre)?.querySelector(".take");
  const leave = () => {
    if (take !== mine) return;
    closeTake();
    opener()?.focus();
  };
  mine.stopped = true;
  page(".take-stop").disabled = true;
  await appears(() => records() || isRefused()); // the button may be pressed before the microphone is open
  const stop = records() && (await appears(() => recorder("stop")));
  if (stop) {
    focusAfter = [opener];
    if (!kept) setTimeout(leave, LOST_MS);
    return stop.click();
  }
  leave();
};

const record = async (genre) => {
  if (take) return;
  const mine = { genre, stopped: false };
  take = mine;
  target = genre;
  player()?.pause(); // the microphone would hear it
  element.setAttribute("data-recording", "");
  page(".take-genre").textContent = genre;
  page(".take-stop").disabled = false;
  strip().dataset.open = "";
  page(".take-stop").focus({ preventScroll: true });
  page("#collect-take .icon-button")?.click(); // Clear, for the recording before
  const start = await appears(() => recorder("record"));
  if (take !== mine) return;
  if (!start) {
    closeTake();
    return say("The recorder could not be started: load this page again.", true);
  }
  start.click();
  const look = () => {
    if (take !== mine || mine.stopped) return;
    if (records() && recordedSeconds() >= MOST_SECONDS) stopTake(true);
    else setTimeout(look, LOOK_MS);
  };
  setTimeout(look, 2 * LOOK_MS); // after the panel has set its clock to zero
};
