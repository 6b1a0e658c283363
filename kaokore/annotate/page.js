// Keys and clicks become one event, `press`, with the place of the face on the screen and whether it is loaded, so that no
// press is taken as an answer to a face that was shown a moment later.
(() => {
  const KEYS = ["Enter", "ArrowLeft", "ArrowRight", "u", "s"];

  function press(key) {
    const face = document.querySelector("img.face");
    const seen = face.complete && face.naturalWidth > 0;
    emitEvent("press", key, face.dataset.place, seen);
  }

  function show(name) {
    const dialog = document.querySelector(`dialog.${name}`);
    dialog.showModal();
    const field = dialog.querySelector("input");
    if (field) {
      field.value = document.querySelector("[data-show=name] span").textContent;
      field.select();
    }
  }

  function keyOf(event) {
    // An input method for Japanese hides the character, or makes it full-width.
    const key = event.key === "Process" ? event.code.replace(/^(Digit|Numpad|Key)/, "") : event.key.normalize("NFKC");
    return key.length === 1 ? key.toLowerCase() : key;
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || document.querySelector("dialog[open]")) return; // a dialog handles its own keys
    const key = keyOf(event);
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" && !event.shiftKey) {
        event.preventDefault();
        press("u");
      }
      return;
    }
    if ((key === "Enter" || key === " ") && document.activeElement.closest("button")) return; // presses the focused button
    if (!KEYS.includes(key) && !/^[1-9?n]$/.test(key)) return;
    event.preventDefault();
    if (event.repeat && !key.startsWith("Arrow")) return; // a key held down is one answer
    if (key === "?") show("keys");
    else if (key === "n") show("name");
    else press(key);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-press], [data-show]");
    if (!button) return;
    // After a click, Enter accepts the suggestion again instead of pressing this button; focus by Tab is kept.
    if (event.detail > 0) button.blur();
    if (button.dataset.show) show(button.dataset.show);
    else press(button.dataset.press);
  });
})();
