// Names and keys that gradio's components lack. The page's head holds this script, so it runs before there is a body.
{
  // gradio names the first of these buttons by the key of a missing translation, and the others not at all.
  const nameButtons = () => {
    document.querySelector('[aria-label="common.upload"]')?.setAttribute("aria-label", "Add files");
    for (const button of document.querySelectorAll(".token-remove")) {
      const choice = button.closest(".token")?.textContent.trim();
      button.setAttribute("aria-label", `Remove ${choice ?? "all"}`);
    }
  };
  new MutationObserver(nameButtons).observe(document.documentElement, { subtree: true, childList: true });

  // gradio opens the list of a dropdown at each key, also at Tab, and the list then stays open over the page.
  document.addEventListener(
    "keydown",
    (event) => event.key === "Tab" && event.target.matches?.("[role=combobox]") && event.stopPropagation(),
    true,
  );
  // gradio gives each radio a name of its own, and does so again when the choices change. The browser's arrow keys move only between
  // radios of one name.
  const nameRadios = ({ target }) => {
    if (target.type !== "radio") return;
    const group = target.closest("fieldset, .block");
    for (const radio of group?.querySelectorAll("input[type=radio]") ?? []) radio.name = target.name;
  };
  document.addEventListener("focusin", nameRadios);
  document.addEventListener("keydown", nameRadios);
}
