// The lists and the map of the Teach panel. gradio runs this once for each of both, with `element`, `trigger` and `watch`; the
// server renders their content anew, so all events are handled on `element`.

const marks = () => [...element.querySelectorAll(".clip-map .clip")];
let hasMoved = false; // a clip was moved, and the map is drawn again

element.addEventListener("click", (event) => {
  const { play, move, genre } = event.target.closest("[data-play], [data-move]")?.dataset ?? {};
  if (play) trigger("play_clip", { file: play });
  if (!move) return;
  hasMoved = true;
  trigger("move_clip", { file: move, genre });
});

// The map is one stop of the Tab key. Left and right go through the marks by their x, up and down by their y.
const place = (mark) => mark.transform.baseVal[0].matrix;
const STEPS = { ArrowLeft: ["e", -1], ArrowRight: ["e", 1], ArrowUp: ["f", -1], ArrowDown: ["f", 1] };

element.addEventListener("keydown", (event) => {
  const mark = event.target.closest(".clip");
  const [axis, step] = STEPS[event.key] ?? [];
  const plays = event.key === "Enter" || event.key === " ";
  if (!mark || !(plays || step)) return;
  event.preventDefault(); // otherwise the page scrolls
  if (plays) return trigger("play_clip", { file: mark.dataset.play });
  const sorted = marks().sort((a, b) => place(a)[axis] - place(b)[axis]);
  sorted[sorted.indexOf(mark) + step]?.focus();
});

const name = (mark) => {
  const said = element.querySelector(".map-said");
  if (said && mark) said.textContent = mark.querySelector("title").textContent;
};
element.addEventListener("mouseover", ({ target }) => name(target.closest(".clip")));
element.addEventListener("focusin", ({ target }) => {
  const mark = target.closest(".clip");
  if (!mark) return;
  for (const one of marks()) one.setAttribute("tabindex", one === mark ? 0 : -1);
  name(mark);
});

watch("value", () => {
  if (!hasMoved || !marks().length) return;
  hasMoved = false;
  element.querySelector(".card").focus({ preventScroll: true }); // the button that moved the clip is gone
});
