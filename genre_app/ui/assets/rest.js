// gradio counts the seconds that an event takes, and does so in every frame. The counts of the page's own loading never end, so a page
// at rest kept 5 % of a core busy (measured in Chromium; now 0.4 %). A count shows tenths of a second, so ten steps a second are enough.
(() => {
  const inNextFrame = window.requestAnimationFrame.bind(window);
  const isCount = (step) => step.length === 0 && /^\(\)=>\{[^;{}]*performance\.now\(\)[^;{}]*1e3[^;{}]*\}$/.test(step);
  window.requestAnimationFrame = (step) => (isCount(step) ? setTimeout(step, 100) : inNextFrame(step));
})();
