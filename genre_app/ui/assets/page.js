// What gradio has no option for. MAX_BYTES is filled in by the server.
window.genreApp = (() => {
  const say = (message) => {
    const card = document.querySelector("#final-vote .card");
    if (!card) return;
    const section = document.createElement("section");
    section.className = "card problem";
    section.setAttribute("role", "alert");
    const eyebrow = document.createElement("p");
    eyebrow.className = "eyebrow";
    eyebrow.textContent = "No answer";
    const words = document.createElement("p");
    words.textContent = message;
    section.append(eyebrow, words);
    card.replaceWith(section);
  };

  // Before gradio sees the files: large ones are refused here, for the server would do so only after they have travelled, and with
  // an overlay over the whole player. The others pass as audio, for gradio turns WebM and MP4 away by their type and in a toast;
  // whether there is music in a file is for the decoder to say, in place.
  const receive = (event) => {
    const place = event.target.closest?.("#music, #songs");
    const files = [...(event.dataTransfer?.files ?? event.target.files ?? [])];
    if (!place || !files.length) return;
    const large = files.find((file) => file.size > MAX_BYTES);
    if (large) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.type === "change") event.target.value = "";
      const size = Math.round(large.size / 1e6);
      const message = `${large.name}: ${size} MB are more than the ${MAX_BYTES / 1e6} MB that this page takes; cut it shorter.`;
      if (place.id === "music") say(message);
      else document.querySelector("#songs-problem").textContent = message;
      return;
    }
    if (place.id !== "music" || files.every((file) => file.type.startsWith("audio/"))) return;
    const passed = new DataTransfer();
    for (const file of files) passed.items.add(new File([file], file.name, { type: "audio/mpeg" }));
    if (event.type === "change") event.target.files = passed.files;
    else Object.defineProperty(event, "dataTransfer", { value: passed });
  };
  document.addEventListener("change", receive, true);
  document.addEventListener("drop", receive, true);
  // The file dialog offers videos too.
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.matches?.("#music input[type=file]")) event.target.accept = "audio/*,video/*";
    },
    true,
  );

  // The address keeps the tab, so that a page that is loaded again, as when the server comes back, shows it again.
  const tabs = () => [...document.querySelectorAll('[role="tab"]')];
  const slug = (tab) => tab.textContent.trim().toLowerCase();
  const keepTab = (name) => {
    const hash = name === slug(tabs()[0]) ? "" : `#${name}`;
    history.replaceState(null, "", location.pathname + location.search + hash);
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    if (tab) keepTab(slug(tab));
  });

  return {
    // Wait until a tab that the server has chosen is shown.
    opened: async (name) => {
      const shown = () => tabs().some((tab) => slug(tab) === name && tab.getAttribute("aria-selected") === "true");
      for (let frame = 0; frame < 60 && !shown(); frame++) await new Promise(requestAnimationFrame);
      keepTab(name);
    },
    openTab: () => tabs().find((tab) => `#${slug(tab)}` === location.hash)?.click(),
    // How the figure has to be drawn for this visitor.
    view: (place = "#figure") => ({
      width: Math.round(document.querySelector(place)?.clientWidth || window.innerWidth),
      pixel_ratio: window.devicePixelRatio || 1,
      dark: document.body.classList.contains("dark"),
      speech: window.genreMicrophone?.settings()?.noiseSuppression === true, // of the latest take
    }),
    // Scroll to a part of the page, and move the keyboard's focus there.
    show: (place) => {
      const found = document.querySelector(place);
      if (!found) return;
      found.tabIndex = -1;
      found.focus({ preventScroll: true });
      found.scrollIntoView({ behavior: "smooth", block: "start" });
    },
    // Start the player, which gradio has moved to its place, unless it is the plain one that stands in for a waveform.
    play: (seconds) => {
      const button = document.querySelector("#music .play-pause-button");
      const plain = document.querySelector("#music audio[controls]");
      if (button?.offsetParent) {
        if (button.getAttribute("aria-label") === "Play") button.click();
      } else if (plain) {
        plain.currentTime = seconds;
        plain.play().catch(() => {}); // a format that the browser cannot play; the answer says so
      }
    },
  };
})();
