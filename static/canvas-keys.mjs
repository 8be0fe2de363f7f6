// The canvas by keyboard: letters choose tools, and on the canvas itself the arrows move a pen that Enter sets down and lifts.

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const fields = "input:not([type=range], [type=checkbox]), textarea, select, [contenteditable], dialog";

/**
 * @param root the canvas with its tools
 * @param area where it is drawn
 * @param act `isActive()`, `press(key, isShifted)` for keys that do something at once, `undo()`, `redo()`, `hold(isHeld)` for Space, and the
 *   pen's `step(dx, dy, isFine)`, `set()`, `lift()`
 */
export function keys(root, area, act) {
  // Letters are the page's only where nothing else has the focus.
  const isOurs = (target) => act.isActive() && (root.contains(target) || target === document.body) && !target.closest(fields);

  document.addEventListener("keydown", (event) => {
    if (!isOurs(event.target) || event.isComposing || event.altKey || !take(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  document.addEventListener("keyup", (event) => { if (event.key === " ") act.hold(false); });
  addEventListener("blur", () => act.hold(false));

  function take(event) {
    const { key, target } = event, isArea = target === area;
    if (event.ctrlKey || event.metaKey) {
      const letter = key.toLowerCase();
      if (letter === "z") { if (event.shiftKey) act.redo(); else act.undo(); return true; }
      if (letter === "y") { act.redo(); return true; }
      return false;
    }
    if (key === " ") {
      if (target.closest("button, summary, a, input")) return false;
      act.hold(true);
      return true;
    }
    if (isArea && arrows[key]) { act.step(...arrows[key], event.shiftKey); return true; }
    if (isArea && key === "Enter") { act.set(); return true; }
    if (key === "Escape") return act.lift();
    return act.press(key.length === 1 ? key.toLowerCase() : key);
  }
}
