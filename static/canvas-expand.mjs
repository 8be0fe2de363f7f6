// Handles at the picture's edges: dragged, or moved by arrow keys, they say how much the picture grows; letting go, or Enter, makes it so.

const outward = { left: [-1, 0], right: [1, 0], top: [0, -1], bottom: [0, 1] };
const arrowOf = { left: "ArrowLeft", right: "ArrowRight", top: "ArrowUp", bottom: "ArrowDown" };
const inward = { left: "ArrowRight", right: "ArrowLeft", top: "ArrowDown", bottom: "ArrowUp" };

/**
 * @param handles buttons by side
 * @param act `scale()` of the view; `show(side, pixels)` what would come, 0 for nothing; `grow(side, pixels)`; `step()` in pixels
 */
export function expanding(handles, act) {
  for (const [side, handle] of Object.entries(handles)) {
    const [dx, dy] = outward[side];
    let from = null, pixels = 0, wasDragged = false;
    const want = (wanted) => act.show(side, pixels = Math.max(0, Math.round(wanted)));
    function give() {
      const wanted = pixels;
      want(0);
      if (wanted) act.grow(side, wanted);
    }
    handle.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      from = { x: event.clientX, y: event.clientY };
      wasDragged = false;
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!from) return;
      const far = (event.clientX - from.x) * dx + (event.clientY - from.y) * dy;
      wasDragged ||= Math.abs(far) > 3;
      if (wasDragged) want(far / act.scale());
    });
    handle.addEventListener("pointerup", () => { from = null; if (wasDragged) give(); });
    handle.addEventListener("pointercancel", () => { from = null; want(0); });
    // The end of a drag is a click too; a click alone, or Enter with nothing wanted, grows by one step.
    handle.addEventListener("click", () => {
      if (wasDragged) { wasDragged = false; return; }
      pixels ||= act.step();
      give();
    });
    handle.addEventListener("keydown", (event) => {
      const by = { [arrowOf[side]]: 1, [inward[side]]: -1 }[event.key];
      if (by) want(pixels + by * act.step() / 4);
      else if (event.key === "Escape" && pixels) want(0);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    handle.addEventListener("blur", () => want(0));
  }
}

/** A picture on a larger canvas, its edges stretched over what is new: closer to what will be there than one colour. */
export function stretched(picture, width, height, { left, top, right, bottom }) {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  canvas.width = width + left + right;
  canvas.height = height + top + bottom;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, 0, 0, width, height, left, top, width, height);
  if (left) pen.drawImage(canvas, left, top, 1, height, 0, top, left, height);
  if (right) pen.drawImage(canvas, left + width - 1, top, 1, height, left + width, top, right, height);
  if (top) pen.drawImage(canvas, 0, top, canvas.width, 1, 0, 0, canvas.width, top);
  if (bottom) pen.drawImage(canvas, 0, top + height - 1, canvas.width, 1, 0, top + height, canvas.width, bottom);
  return canvas;
}
