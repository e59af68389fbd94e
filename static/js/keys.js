// Keys that work wherever the focus is. Single letters work outside fields only; every key has a visible control.

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    const name = (event.ctrlKey || event.metaKey ? "Ctrl " : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    const typing = event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
    if (event.altKey || (typing && !name.startsWith("Ctrl ") && name !== "Escape")) return;
    const action = actions[name];
    if (!action || event.defaultPrevented) return;
    event.preventDefault();
    action();
  });
}
