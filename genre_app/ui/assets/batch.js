// The table of the Batch tab. gradio runs this once, with `element`, `trigger` and `watch`. The server renders the table anew
// after each file, so all events are handled on `element`, and the filters and the order are applied again.

const all = (selector) => [...element.querySelectorAll(selector)];
const part = (selector) => element.querySelector(selector);
const rowOf = (place) => place.closest("tr")?.dataset.row;
const nameOf = (row) => row.querySelector(".name").textContent;

const groups = new Set(); // those shown; all if it is empty
let order = null; // { by, down }; by default, unsure rows stand first
let playing = null; // number of the row in the player
let focused = null; // what has the focus, as from `key`

// ---- Filters and order ----

const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const ORDERS = {
  file: (a, b) => compare(nameOf(a), nameOf(b)),
  genre: (a, b) => compare(a.dataset.genre, b.dataset.genre) || (a.dataset.group === "unsure") - (b.dataset.group === "unsure"),
  share: (a, b) => a.dataset.share - b.dataset.share,
};
const number = (row) => Number(row.dataset.row);

// Rows without a genre stand last in both directions; rows that are equal stay in the order of the files.
const compareRows = (a, b) => {
  if (!order) return (b.dataset.group === "unsure") - (a.dataset.group === "unsure") || number(a) - number(b);
  const lacks = (row) => order.by !== "file" && row.dataset.genre === undefined;
  if (lacks(a) || lacks(b)) return lacks(a) - lacks(b) || number(a) - number(b);
  return ORDERS[order.by](a, b) * (order.down ? -1 : 1) || number(a) - number(b);
};

const arrange = () => {
  if (!part("table[data-done]")) return; // until all files are answered, the rows stay where they are
  part("tbody").append(...all("tbody tr").sort(compareRows));
  part(".unsure-first")?.setAttribute("aria-pressed", !order);
  for (const head of all("th:has(.sorter)")) {
    const isSorted = order?.by === head.querySelector(".sorter").dataset.by;
    if (isSorted) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
};

const filter = () => {
  const buttons = all(".filter");
  for (const group of groups) if (!buttons.some((one) => one.dataset.group === group)) groups.delete(group);
  for (const one of buttons) one.setAttribute("aria-pressed", one.dataset.group ? groups.has(one.dataset.group) : !groups.size);
  const rows = all("tbody tr");
  for (const row of rows) row.hidden = groups.size > 0 && !groups.has(row.dataset.group);
  const shown = part(".shown");
  if (shown) shown.textContent = groups.size ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} files are shown.` : "";
};

const sort = (by) => {
  const isSame = order?.by === by;
  order = { by, down: isSame ? !order.down : by === "share" }; // the most probable first
  arrange();
};

const toggle = ({ group }) => {
  if (!group) groups.clear();
  else if (!groups.delete(group)) groups.add(group);
  filter();
};

// ---- Playing ----

const player = () => document.querySelector("#batch-player audio");
const isPlaying = () => Boolean(player() && !player().paused);

const paint = () => {
  for (const button of all(".play")) {
    const sounds = isPlaying() && rowOf(button) === playing;
    const row = button.closest("tr");
    row.classList.toggle("playing", sounds);
    button.setAttribute("aria-label", `${sounds ? "Pause" : "Play"} ${nameOf(row)}`);
  }
};

const warn = (words) => {
  const place = part(".unplayed");
  if (place) place.textContent = words;
};

const play = (row) => {
  warn("");
  if (row === playing && player()) return player().paused ? player().play().catch(() => {}) : player().pause();
  player()?.pause();
  playing = row;
  trigger("play", { row: Number(row) });
};

// Events of a player do not bubble. Of all players on the page, only one sounds.
document.addEventListener(
  "play",
  ({ target }) => {
    if (target !== player()) return player()?.pause();
    for (const other of document.querySelectorAll("audio")) if (other !== target) other.pause();
    paint();
  },
  true,
);
for (const name of ["pause", "ended", "emptied"])
  document.addEventListener(name, ({ target }) => target === player() && paint(), true);
document.addEventListener(
  "error",
  ({ target }) => {
    const row = part(`tr[data-row="${playing}"]`);
    if (target === player() && target.getAttribute("src") && row) warn(`This browser cannot play ${nameOf(row)}. The answer is the same.`);
  },
  true,
);

// ---- Events ----

element.addEventListener("click", ({ target }) => {
  const pressed = target.closest("button");
  if (!pressed || !element.contains(pressed)) return;
  const row = rowOf(pressed);
  const uses = {
    filter: () => toggle(pressed.dataset),
    "unsure-first": () => {
      order = null;
      arrange();
    },
    sorter: () => sort(pressed.dataset.by),
    play: () => play(row),
    open: () => {
      player()?.pause();
      trigger("open", { row: Number(row) });
    },
    keep: () => trigger("keep", { row: Number(row) }),
  };
  uses[pressed.classList[0]]?.();
});
element.addEventListener("change", ({ target }) => {
  if (!target.matches(".truth")) return;
  const genre = target.value.trim();
  const isRight = genre.toLowerCase() === target.dataset.answer.toLowerCase();
  target.parentElement.querySelector(".mark").textContent = genre && (isRight ? "✓" : "≠");
  trigger("truth", { row: Number(rowOf(target)), genre });
});

// A table that is rendered anew loses the focus.
const key = (one) => [one.classList[0], one.dataset.group, one.dataset.by, rowOf(one)].join("|");
document.addEventListener("focusin", ({ target }) => {
  focused = element.contains(target) ? key(target) : null;
});
const refocus = () => {
  if (focused === null || document.activeElement !== document.body) return;
  all("button, input").find((one) => key(one) === focused)?.focus({ preventScroll: true });
};

watch("value", () => {
  if (!part("table")) {
    groups.clear();
    [order, playing] = [null, null];
  }
  filter();
  arrange();
  paint();
  refocus();
});

window.genreBatch = {
  // Play from the start where the player already holds the file, as of two equal files.
  play: () => {
    if (player()?.paused) player().play().catch(() => {}); // a format that the browser cannot play; an error event follows
  },
};
