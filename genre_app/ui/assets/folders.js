// Folders of music: gradio's uploads lose the folder that a file comes from, which is often its genre.
window.genreFolders = (() => {
  const AUDIO = /\.(wav|wave|flac|mp3|ogg|oga|opus|m4a|aac|aif|aiff|wma|webm|mp4|mka|mkv|mov|au|ac3|amr|caf)$/i;
  const folders = new Map(); // folder by name and size of a file; null if several folders have such a file

  const read = async (entry, folder, found) => {
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file && (!folder || AUDIO.test(file.name))) found.push({ file, folder });
      return found;
    }
    const reader = entry.createReader();
    const next = () => new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    for (let some = await next(); some.length; some = await next())
      for (const one of some) await read(one, entry.name, found);
    return found;
  };

  // Return [{ file, folder }] of a drop that holds folders; null if it holds only files. Call it before the event ends.
  const dropped = (event) => {
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return null;
    return entries.reduce(async (found, entry) => read(entry, "", await found), Promise.resolve([]));
  };

  // Put files into Batch as if they had been chosen there.
  const give = (found) => {
    const files = new DataTransfer();
    for (const { file, folder } of found) {
      const key = `${file.name}|${file.size}`;
      const isOther = folders.has(key) && folders.get(key) !== folder;
      if (folder) folders.set(key, isOther ? null : folder);
      files.items.add(file);
    }
    if (!found.length) document.querySelector("#songs-problem").textContent = "These folders hold no audio files.";
    const input = document.querySelector("#songs input[type=file]");
    if (!input || !found.length) return;
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // On the window, this comes before gradio's own drop zones and the page's.
  window.addEventListener(
    "drop",
    (event) => {
      const isShown = (place) => Boolean(document.querySelector(place)?.offsetParent);
      const found = !isShown("#collect-board") && dropped(event); // Collect's cards take folders themselves
      if (!found) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      document.querySelector("#drop-here")?.remove();
      if (isShown("#songs")) found.then(give);
      else genreApp.sayUpload("Folders can be dropped in Batch and Collect only.");
    },
    true,
  );

  return {
    dropped,
    known: () => Object.fromEntries(folders),
    forget: () => folders.clear(),
    choose: () => {
      const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, webkitdirectory: true });
      input.addEventListener("change", () => {
        const files = [...input.files].filter((file) => AUDIO.test(file.name));
        give(files.map((file) => ({ file, folder: file.webkitRelativePath.split("/").at(-2) ?? "" })));
      });
      input.click();
    },
  };
})();
