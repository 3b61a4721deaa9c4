// As the page opens, gradio looks through its list of events for each of its 552 components. Svelte wraps that list, so that it notices
// changes, and each look through the wrapping is slow: it took a third of the page's scripts (0.93 s, now 0.60; measured in Chromium).
// The list never changes. Svelte wraps only plain arrays, so it leaves an instance of another class alone.
(() => {
  class Events extends Array {}
  let config;
  Object.defineProperty(window, "gradio_config", {
    get: () => config,
    set: (given) => {
      config = given;
      if (Array.isArray(config?.dependencies)) config.dependencies = Events.from(config.dependencies);
    },
  });
})();
