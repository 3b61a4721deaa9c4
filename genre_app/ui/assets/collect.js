// The board of the Collect tab. gradio runs this, between the other collect_*.js, once: when the tab is first opened, with
// `element`, `trigger`, `upload` and `watch`. The server renders the board anew after each action, so all events are handled on
// `element`.

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

const say = sayIn("#collect-said p");

const act = (data, ...focus) => {
  focusAfter = focus;
  element.setAttribute("aria-busy", "true");
  trigger("act", { ...data, expanded: [...expanded] });
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
  const opening = () => card(from)?.querySelector(".take");
  const moved = () => chip(clip)?.querySelector(".more");
  const move = (genre) => button(genre, "", () => act({ do: "move", clip, genre }, moved, next, opening));
  const remove = button("Delete", "danger", () => act({ do: "delete", clip }, next, opening));
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
    const renamed = (one) => () => card(one)?.querySelector(".rename");
    act({ do: "rename", genre, name }, renamed(name), renamed(genre));
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
