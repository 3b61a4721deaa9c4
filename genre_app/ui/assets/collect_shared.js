// What the board of the Collect tab and the room check share: both scripts begin with it, and define `PATIENCE_MS`.

const page = (selector) => document.querySelector(selector);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Return a function that shows words in a part of the page.
const sayIn = (selector) => (words, failed = false) => {
  const place = page(selector);
  if (!place) return;
  place.setAttribute("role", failed ? "alert" : "status");
  place.classList.toggle("failed", failed);
  place.textContent = words;
};

// Wait until `find` finds something, and return it. A page in the background shows no frames, so this is a timer.
const appears = async (find, ms = PATIENCE_MS) => {
  const end = performance.now() + ms;
  while (!find() && performance.now() < end) await pause(20);
  return find();
};

