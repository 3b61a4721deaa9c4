// What gradio has no option for. The server replaces MAX_BYTES.
window.genreApp = (() => {
  const find = (selector) => document.querySelector(selector);

  // Wait until something is true, for so many frames at most: gradio builds the page and its tabs bit by bit.
  const until = async (isTrue, frames = 60) => {
    for (let frame = 0; frame < frames && !isTrue(); frame++) await new Promise(requestAnimationFrame);
  };

  const say = (title, message, failed) => {
    const card = find("#final-vote .card");
    if (!card) return;
    const section = document.createElement("section");
    section.className = failed ? "card problem" : "card";
    section.setAttribute("role", failed ? "alert" : "status");
    section.innerHTML = '<h2 class="eyebrow"></h2><p></p>';
    section.querySelector("h2").textContent = title;
    section.querySelector("p").textContent = message;
    card.replaceWith(section);
  };

  // ---- Uploads ----

  // Say above the tabs what went wrong with an upload or the connection.
  const sayUpload = (words) => {
    const place = find("#upload-problem");
    if (place) [place.hidden, place.textContent] = [!words, words];
    if (words && find("#final-vote p")?.textContent.startsWith("Uploading")) say("No answer", "The file did not arrive.");
  };

  // ---- The queue ----

  // gradio writes "queue: 2/5 | ..." into a hidden element. What starts at once is not announced.
  const QUEUE_MS = 300;
  const watchQueue = (queue, tell) => {
    const place = () => queue.textContent.match(/queue: (\d+)\/(\d+)/)?.slice(1).join(" of ");
    let told;
    const tellPlace = () => {
      const now = place();
      if (now && now !== told) tell(now);
      told = now;
    };
    const options = { subtree: true, childList: true, characterData: true };
    new MutationObserver(() => (told || place()) && setTimeout(tellPlace, QUEUE_MS)).observe(queue, options);
  };
  const tellIn = (selector, words) => {
    const status = find(`${selector} [role=status]`);
    if (status) status.textContent = words;
  };

  // ---- Files ----

  // Large files are refused here: the server refuses them only after the upload, and gradio covers the player then. Other files
  // pass as audio: gradio refuses WebM and MP4 by their type; the decoder decides, and the page shows its words in place.
  const receive = (event) => {
    const place = event.target.closest?.("#music, #songs") ?? (event.target.closest?.(".sources") && find("#music"));
    const files = [...(event.dataTransfer?.files ?? event.target.files ?? [])];
    if (!place || !files.length) return;
    const isSong = place.id === "music";
    const large = files.find((file) => file.size > MAX_BYTES);
    if (!isSong) find("#songs-problem").textContent = "";
    if (large) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.type === "change") event.target.value = "";
      const size = Math.round(large.size / 1e6);
      const message = `${large.name}: ${size} MB are more than the ${MAX_BYTES / 1e6} MB that this page takes; cut it shorter.`;
      if (isSong) say("No answer", message, true);
      else find("#songs-problem").textContent = message;
      return;
    }
    if (!isSong) return;
    say("Final vote", `Uploading ${files[0].name} …`);
    if (files.every((file) => file.type.startsWith("audio/"))) return;
    const passed = new DataTransfer();
    for (const file of files) passed.items.add(new File([file], file.name, { type: "audio/mpeg" }));
    if (event.type === "change") event.target.files = passed.files;
    else Object.defineProperty(event, "dataTransfer", { value: passed });
  };

  // A drop outside gradio's own drop zones goes to the tab that is open, so that a second song can follow the first.
  const selected = () => tabs().find((tab) => tab.getAttribute("aria-selected") === "true");
  const DROP_PLACES = { train: "#train-upload", batch: "#songs" };
  const dropTarget = () => find(`${DROP_PLACES[slug(selected())] ?? ".sources"} input[type=file]`);
  // Collect's cards take drops themselves.
  const takesDrop = (event) => event.dataTransfer?.types.includes("Files") && slug(selected()) !== "collect";
  const overlay = document.createElement("div");
  overlay.id = "drop-here";
  const DROP_WORDS = {
    batch: "Drop songs or folders to classify them all",
    train: "Drop a zip of genre folders to train on it",
  };
  const showOverlay = (event) => {
    if (!takesDrop(event)) return;
    event.preventDefault(); // otherwise the browser opens the file
    event.dataTransfer.dropEffect = "copy"; // gradio's list of files asks to move them, which some programs refuse
    if (event.type !== "dragenter") return;
    overlay.textContent = DROP_WORDS[slug(selected())] ?? "Drop the song anywhere to classify it";
    document.body.append(overlay);
  };
  const dropAnywhere = (event) => {
    overlay.remove();
    if (!takesDrop(event) || event.target.closest?.("button, label")?.querySelector("input[type=file]")) return;
    event.preventDefault();
    event.stopPropagation();
    const input = dropTarget();
    if (!input) return;
    if (slug(selected()) === "live") tabs()[0].click();
    const files = new DataTransfer();
    for (const file of event.dataTransfer.files) if (input.multiple || !files.items.length) files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("dragenter", showOverlay);
  document.addEventListener("dragover", showOverlay);
  document.addEventListener("dragleave", (event) => event.relatedTarget || overlay.remove());
  document.addEventListener("change", receive, true);
  document.addEventListener("drop", receive, true);
  document.addEventListener("drop", dropAnywhere, true);
  // The file dialog offers videos too.
  document.addEventListener(
    "click",
    ({ target }) => {
      if (target.matches?.(":is(#music, .sources) input[type=file]")) target.accept = "audio/*,video/*";
    },
    true,
  );

  // ---- The player and the figure ----

  const player = () => find("#music audio");
  const play = (seconds) => {
    const audio = player();
    if (!audio) return;
    audio.currentTime = seconds;
    audio.play().catch(() => {}); // a format that the browser cannot play; the card says so
  };
  const moveHead = () => {
    const audio = player();
    const axis = find("#figure .time-axis");
    if (!audio || !axis) return;
    const head = axis.querySelector(".playhead");
    head.style.display = "block";
    head.style.left = `${(100 * audio.currentTime) / axis.dataset.duration}%`;
    if (!audio.paused) requestAnimationFrame(moveHead);
  };
  // Events of a player do not bubble.
  for (const name of ["play", "seeked"])
    document.addEventListener(name, ({ target }) => target === player() && moveHead(), true);
  document.addEventListener("click", (event) => {
    const axis = event.target.closest?.("#figure .time-axis");
    const part = event.target.closest?.("[data-seconds]");
    if (part) play(Number(part.dataset.seconds));
    if (!axis) return;
    const { left, width } = axis.getBoundingClientRect();
    play(((event.clientX - left) / width) * axis.dataset.duration);
  });

  // The figure is drawn for one theme.
  const view = (place = "#figure") => ({
    width: Math.round(find(place)?.clientWidth || window.innerWidth),
    pixel_ratio: window.devicePixelRatio || 1,
    dark: document.body.classList.contains("dark"),
    speech: window.genreMicrophone?.settings()?.noiseSuppression === true, // of the latest recording
    sent: performance.now(),
  });
  const watch = () => {
    let { dark } = view();
    const look = () => {
      if (view().dark === dark) return;
      dark = !dark;
      if (find("img:is(.figure, .confusion)")) find("#redraw")?.click();
    };
    new MutationObserver(look).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);

  // ---- Tabs and radios ----

  // The address holds the open tab, so that a page that is loaded again, as after a restart of the server, shows it again.
  const tabs = () => [...document.querySelectorAll('[role="tab"]')];
  const slug = (tab) => tab.dataset.tabId.toLowerCase(); // not its text, which a browser may translate
  const keepTab = (name) => {
    const hash = name === slug(tabs()[0]) ? "" : `#${name}`;
    history.replaceState(null, "", location.pathname + location.search + hash);
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    if (tab) keepTab(slug(tab));
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!tab || !step) return;
    const all = tabs();
    const next = all[(all.indexOf(tab) + step + all.length) % all.length];
    next.click();
    next.focus();
    event.preventDefault();
  });
  // Report what is typed into the form of Train. A browser may report pasted text only when the field is left.
  for (const name of ["input", "change"])
    document.addEventListener(name, ({ target }) => {
      const isTyped = target.matches("#train-form :is(input[type=number], input[type=text], textarea):not([role=combobox])");
      if (isTyped) setTimeout(() => find("#train-typed")?.click()); // gradio reads the field first
    });
  const isOpen = (name) => Boolean(selected()) && slug(selected()) === name;

  // Start a recorder once: while the browser asks for the microphone, a second press would stop it as soon as it has begun.
  let isStarting = false;
  const startOnce = async (recorder, press) => {
    const isOn = () => find(`#${recorder} .stop-button`)?.offsetParent;
    if (isStarting || isOn()) return;
    isStarting = true;
    try {
      await press();
      await until(() => isOn() || find(`#${recorder}-microphone .mic-problem`)?.textContent, 600);
    } finally {
      isStarting = false;
    }
  };

  return {
    // An update of gradio's timer that is active while this tab is open; gradio marks the open tab after it has told of it.
    whileOpen: async (name) => {
      await new Promise((resolve) => setTimeout(resolve));
      return { __type__: "update", active: isOpen(name) };
    },
    // Wait until a tab that the server has chosen is shown.
    opened: async (name) => {
      await until(() => isOpen(name));
      keepTab(name);
    },
    openTab: () => tabs().find((tab) => `#${slug(tab)}` === location.hash)?.click(),
    watchQueue,
    say,
    sayUpload,
    tellIn,
    view,
    // Scroll to a part of the page, and move the keyboard's focus there.
    show: async (place) => {
      await until(() => find(place)?.offsetParent, 120);
      const found = find(place);
      if (!found) return;
      found.tabIndex = -1;
      found.focus({ preventScroll: true });
      const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      found.scrollIntoView({ behavior: isCalm ? "instant" : "smooth", block: "start" });
    },
    play,
    // Open Live and let it listen until the answer is sure.
    listen: () =>
      startOnce("live", async () => {
        tabs().find((tab) => slug(tab) === "live").click();
        await until(() => find("#live .record-button")?.offsetParent, 300);
        genreMicrophone.listenOnce();
        find("#live .record-button")?.click();
        find("#live-vote")?.scrollIntoView({ block: "nearest" });
      }),
    // Start a recording, whatever the player shows.
    record: () =>
      startOnce("music", async () => {
        find("#music .icon-button")?.click(); // Clear
        for (const selector of ['#music button[aria-label="Record audio"]', "#music .record-button"]) {
          await until(() => find(selector));
          find(selector)?.click();
        }
      }),
  };
})();
