// As the page opens, gradio searches its list of events once for each component. Svelte wraps the list in proxies, which notice changes
// and make each search slow: a third of the time of the page's scripts (0.93 s, now 0.60; measured in Chromium). This list never
// changes. Svelte wraps only plain arrays and objects, so it leaves an instance of a class alone.
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
