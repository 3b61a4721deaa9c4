// The board of the Collect tab. gradio runs this once, with `element`, `trigger`, `upload` and `watch`, when the tab is first
// opened. The server renders the board anew after each action, so all events are handled on `element`.

const MOST_SECONDS = 30; // of a recording; the collection keeps no more of a clip
const LOOK_MS = 200; // between two looks at the recording's time
const PATIENCE_MS = 3000; // for gradio's recorder to appear

const page = (selector) => document.querySelector(selector);
const part = (selector) => element.querySelector(selector);
const cardOf = (place) => place.closest?.(".genre-card");
const genreOf = (place) => cardOf(place)?.dataset.genre;
const card = (genre) => [...element.querySelectorAll(".genre-card")].find((one) => one.dataset.genre === genre);
const genres = () => [...element.querySelectorAll(".genre-card")].map((one) => one.dataset.genre);
const chip = (id) => [...element.querySelectorAll("[data-clip]")].find((one) => one.dataset.clip === id);

const expanded = new Set();
let focusAfter = []; // functions that find the element to focus once the board has been rendered
let take = null; // the recording in progress: { genre, stopped }
let target = ""; // genre that the recording goes to; empty if it was cancelled
let playing = null; // id of the clip in the player

const say = (words, failed = false) => {
  const place = page("#collect-said p");
  if (!place) return;
  place.setAttribute("role", failed ? "alert" : "status");
  place.classList.toggle("failed", failed);
  place.textContent = words;
};

const act = (data, ...focus) => {
  focusAfter = focus;
  element.setAttribute("aria-busy", "true");
  trigger("act", { ...data, expanded: [...expanded] });
};

// ---- Files ----

const send = async (genre, files) => {
  const large = files.find((file) => file.size > MAX_BYTES);
  if (large) return say(`${large.name}: ${Math.round(large.size / 1e6)} MB are more than the ${MAX_BYTES / 1e6} MB that this page takes.`, true);
  const sent = [];
  try {
    for (const [number, file] of files.entries()) {
      say(`Uploading ${number + 1} of ${files.length}: ${file.name} …`);
      sent.push({ path: (await upload(file)).path, name: file.name });
    }
  } catch {
    say("The upload failed: check the connection, then drop the files again.", true);
    if (!sent.length) return;
  }
  act({ do: "add", genre, files: sent }, () => card(genre)?.querySelector(".choose"));
};

const sendZip = async (file) => {
  if (file.size > MAX_ZIP_BYTES) return say(`${file.name} is larger than the ${MAX_ZIP_BYTES / 1e6} MB that this page takes.`, true);
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
  else say(genres().length ? "Drop the files on the card of their genre." : "Add a genre first, then drop files on its card.", true);
};

// Folders on a card belong to its genre; elsewhere, each folder is a genre.
const dropFolders = async (genre, found) => {
  const names = new Set(found.map(({ folder }) => genre ?? folder).filter(Boolean));
  for (const name of names)
    await send(name, found.filter(({ folder }) => (genre ?? folder) === name).map(({ file }) => file));
  if (!found.length) say("These folders hold no audio files.", true);
};

// ---- Questions within a card ----

const closeAsk = () => element.querySelectorAll(".ask").forEach((one) => one.remove());

const button = (words, className, use) => {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: words, className });
  made.addEventListener("click", use);
  return made;
};

// Show a group of buttons after `place`. Closing it moves the focus back to `opener`.
const ask = (place, opener, words, parts) => {
  const wasOpen = place.nextElementSibling?.matches(".ask");
  closeAsk();
  if (wasOpen) return;
  const group = document.createElement(place.tagName === "LI" ? "li" : "div");
  group.className = "ask";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", words);
  const label = Object.assign(document.createElement("span"), { textContent: words });
  const close = () => {
    group.remove();
    opener.focus();
  };
  group.append(label, ...parts, button("Cancel", "plain", close));
  group.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  place.after(group);
  group.querySelector("input, button").focus();
};

const askClip = (opener) => {
  const place = opener.closest("[data-clip]");
  const { clip } = place.dataset;
  const from = genreOf(place);
  const index = [...place.parentElement.querySelectorAll("[data-clip]")].indexOf(place);
  const next = () => {
    const left = [...(card(from)?.querySelectorAll("[data-clip] .more") ?? [])];
    return left[Math.min(index, left.length - 1)];
  };
  const move = (genre) =>
    button(genre, "", () => act({ do: "move", clip, genre }, () => chip(clip)?.querySelector(".more"), next, () => card(from)?.querySelector(".take")));
  const remove = button("Delete", "danger", () => act({ do: "delete", clip }, next, () => card(from)?.querySelector(".take")));
  const others = genres().filter((genre) => genre !== from);
  const name = place.querySelector("b").textContent;
  ask(place, opener, others.length ? `Move ${name} to` : name, [...others.map(move), remove]);
};

const askRename = (opener) => {
  const genre = genreOf(opener);
  const input = Object.assign(document.createElement("input"), { value: genre, maxLength: 40 });
  input.setAttribute("aria-label", `New name of ${genre}`);
  const save = () => {
    const name = input.value.trim();
    if (expanded.delete(genre)) expanded.add(name);
    act({ do: "rename", genre, name }, () => card(name)?.querySelector(".rename"), () => card(genre)?.querySelector(".rename"));
  };
  input.addEventListener("keydown", ({ key }) => key === "Enter" && save());
  ask(opener.parentElement, opener, `Rename ${genre}`, [input, button("Save", "", save)]);
  input.select();
};

const askRemove = (opener) => {
  const genre = genreOf(opener);
  const clips = Number(opener.dataset.clips);
  const index = genres().indexOf(genre);
  const after = () => element.querySelectorAll(".genre-card .remove")[Math.min(index, genres().length - 1)];
  const remove = () => act({ do: "remove", genre, clips }, after, () => part("#new-genre"));
  if (!clips) return remove();
  const yes = button(`Delete ${genre} and its ${clips === 1 ? "clip" : `${clips} clips`}`, "danger", remove);
  ask(opener.parentElement, opener, "This cannot be undone.", [yes]);
};

// ---- Recording ----

const strip = () => page("#collect-strip");
const panel = () => page("#collect-take-microphone .mic-panel");
const recorder = (name) => page(`#collect-take .${name}-button`);

const appears = async (find) => {
  for (const end = performance.now() + PATIENCE_MS; !find() && performance.now() < end; ) await new Promise(requestAnimationFrame);
  return find();
};

const closeTake = () => {
  take = null;
  delete strip().dataset.open;
  element.removeAttribute("data-recording");
};

const stopTake = (kept) => {
  if (!take) return;
  if (take.stopped) return kept ? undefined : closeTake(); // the upload may have failed
  if (!kept) target = "";
  const { genre } = take;
  const opener = () => card(genre)?.querySelector(".take");
  if (!panel().classList.contains("recording")) {
    closeTake(); // no microphone could be opened
    return opener()?.focus();
  }
  take.stopped = true;
  page(".take-stop").disabled = true;
  focusAfter = [opener];
  recorder("stop")?.click();
};

const record = async (genre) => {
  if (take) return;
  const mine = { genre, stopped: false };
  take = mine;
  target = genre;
  element.setAttribute("data-recording", "");
  page(".take-genre").textContent = genre;
  page(".take-stop").disabled = false;
  strip().dataset.open = "";
  page(".take-stop").focus({ preventScroll: true });
  const start = await appears(() => recorder("record"));
  if (take !== mine) return;
  if (!start) {
    closeTake();
    return say("The recorder could not be started: load this page again.", true);
  }
  start.click();
  const look = () => {
    if (take !== mine || mine.stopped) return;
    const [minutes, seconds] = panel().querySelector(".mic-time").textContent.split(":").map(Number);
    if (panel().classList.contains("recording") && 60 * minutes + seconds >= MOST_SECONDS) stopTake(true);
    else setTimeout(look, LOOK_MS);
  };
  setTimeout(look, 2 * LOOK_MS); // after the panel has set its clock to zero
};

// ---- Playing ----

const player = () => page("#collect-player audio");
const paint = () => {
  const sounds = player() && !player().paused;
  for (const one of element.querySelectorAll(".play")) one.setAttribute("aria-pressed", String(Boolean(sounds && one.parentElement.dataset.clip === playing)));
};
for (const name of ["play", "pause", "ended", "emptied"])
  document.addEventListener(name, ({ target }) => target === player() && paint(), true); // these events do not bubble

const play = (clip) => {
  if (clip === playing && player()) return player().paused ? player().play() : player().pause();
  playing = clip;
  trigger("play", { clip });
};

// ---- Events ----

element.addEventListener("click", ({ target }) => {
  const pressed = target.closest("button");
  if (!pressed || !element.contains(pressed)) return;
  const genre = genreOf(pressed);
  const uses = {
    take: () => record(genre),
    choose: () => choose("audio/*,video/*", true, (files) => send(genre, files)),
    rename: () => askRename(pressed),
    remove: () => askRemove(pressed),
    play: () => play(pressed.parentElement.dataset.clip),
    more: () => askClip(pressed),
    expand: () => {
      if (!expanded.delete(genre)) expanded.add(genre);
      act({ do: "look" }, () => card(genre)?.querySelector(".expand"));
    },
  };
  uses[pressed.className]?.();
});
element.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = part("#new-genre");
  act({ do: "genre", genre: field.value }, () => part("#new-genre"));
  field.value = "";
});
element.addEventListener("change", ({ target }) => {
  if (target.matches(".none input")) act({ do: "none", genre: genreOf(target), on: target.checked });
});

// Files and chips are dropped on cards. The listeners stay while the page is open, as the board does.
const isShown = () => element.offsetParent !== null;
const CHIP = "application/x-genre-app-clip";
const mark = (place) => element.querySelectorAll(".genre-card").forEach((one) => one.classList.toggle("over", one === place));
element.addEventListener("dragstart", (event) => {
  const id = event.target.closest?.("[data-clip]")?.dataset.clip;
  if (id) event.dataTransfer.setData(CHIP, id);
});
document.addEventListener("dragover", (event) => {
  if (!isShown()) return;
  const place = cardOf(event.target);
  if (event.dataTransfer.types.includes("Files") || (place && event.dataTransfer.types.includes(CHIP))) event.preventDefault();
  mark(place);
});
document.addEventListener("drop", (event) => {
  if (!isShown()) return;
  event.preventDefault();
  mark(null);
  const id = event.dataTransfer.getData(CHIP);
  const genre = genreOf(event.target);
  const folders = genreFolders.dropped(event);
  if (folders) folders.then((found) => dropFolders(genre, found));
  else if (event.dataTransfer.files.length) drop(event.target, [...event.dataTransfer.files]);
  else if (id && genre) act({ do: "move", clip: id, genre }, () => chip(id)?.querySelector(".more"));
});
document.addEventListener("dragleave", (event) => event.relatedTarget || mark(null));
document.addEventListener("click", ({ target }) => {
  if (target.closest?.(".take-stop")) stopTake(true);
  if (target.closest?.(".take-cancel")) stopTake(false);
});
// Another window or program may have changed the collection.
window.addEventListener("focus", () => isShown() && !take && !part(".ask") && act({ do: "look" }));

// On a public page, the collection ends with the visit.
window.addEventListener("beforeunload", (event) => page("#collect-intro .public") && part("[data-clip]") && event.preventDefault());

watch("value", () => {
  closeAsk();
  element.removeAttribute("aria-busy");
  if (take?.stopped) closeTake();
  for (const box of element.querySelectorAll(".none input")) box.checked = box.hasAttribute("checked");
  paint();
  const find = focusAfter.find((one) => one());
  focusAfter = [];
  find?.().focus({ preventScroll: true });
});

window.genreCollect = {
  // The genre of the recording that has just stopped; empty if it was cancelled.
  recorded: () => {
    if (take) take.stopped = true; // also where the microphone was unplugged
    return target;
  },
  chooseZip: () => choose(".zip", false, ([file]) => sendZip(file)),
  // Press the button that downloads the zip, once gradio has given it the file.
  download: async () => {
    await new Promise(requestAnimationFrame);
    const link = page("#collect-zip");
    (link?.matches("a, button") ? link : link?.querySelector("a, button"))?.click();
  },
};
