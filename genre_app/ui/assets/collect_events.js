// What happens on the board: playing, clicks, drops, and the answers of the server.

// ---- Playing ----

const player = () => page("#collect-player audio");
const paint = () => {
  const sounds = player() && !player().paused;
  for (const one of element.querySelectorAll(".play"))
    one.setAttribute("aria-pressed", Boolean(sounds && one.parentElement.dataset.clip === playing));
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
  mark(null);
  if (!["Files", CHIP].some((type) => event.dataTransfer.types.includes(type))) return; // a text falls into a field
  event.preventDefault();
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
window.addEventListener("beforeunload", (event) => {
  if (page("#collect-intro .public") && part("[data-clip]")) event.preventDefault();
});

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
