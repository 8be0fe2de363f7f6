// What is seen of the canvas: picture, paint and results lie on a sheet that is moved and scaled; lines that show what a tool will do lie
// above, as thick at any scale.
import { tinted } from "./canvas-mask.mjs";
import { fitted, held, moved, pinched, toArea, toPicture, zoomed } from "./canvas-view.mjs";

const paint = [20, 190, 170];
const sides = ["left", "top", "right", "bottom"];

export class Surface {
  /** Called whenever the view has changed. */
  onView = () => {};

  constructor(root) {
    const one = (name) => root.querySelector(`[data-${name}]`);
    Object.assign(this, { area: one("area"), sheet: one("sheet"), base: one("base"), mask: one("mask"), result: one("result"), brush: one("brush"), trace: one("trace"), frame: one("frame"), ghost: one("ghost") });
    this.handles = Object.fromEntries(sides.map((side) => [side, one(`handle="${side}"`)]));
    this.pen = this.base.getContext("2d", { willReadFrequently: true });
    this.view = { scale: 1, x: 0, y: 0 };
    this.isFitted = true;
    new ResizeObserver(() => { if (this.isFitted) this.fit(); else this.#show(held(this.view, this.room, this.size)); }).observe(this.area);
  }

  get size() { return { width: this.base.width, height: this.base.height }; }
  get room() { return { width: this.area.clientWidth, height: this.area.clientHeight }; }
  get middle() { return { x: this.room.width / 2, y: this.room.height / 2 }; }

  // ---- what lies on the sheet
  /** Put a picture on the sheet; its size is the sheet's from now on. */
  lay(picture, { width, height }) {
    const isOther = width !== this.base.width || height !== this.base.height;
    for (const canvas of [this.base, this.mask]) Object.assign(canvas, { width, height });
    Object.assign(this.sheet.style, { width: `${width}px`, height: `${height}px` });
    this.pen.drawImage(picture, 0, 0, width, height);
    this.colours = null;
    if (isOther) this.fit();
  }

  /** The picture's pixels. */
  pixels() {
    this.colours ??= this.pen.getImageData(0, 0, this.base.width, this.base.height).data;
    return this.colours;
  }

  /** Draw a rectangle of the mask anew. */
  draw(mask, box = mask.all) {
    if (box) this.mask.getContext("2d").putImageData(new ImageData(tinted(mask, box, paint), box.width, box.height), box.x, box.y);
  }

  /** Lay a result over the picture, or over a part of it; none where there is no address. */
  cover(address, box = { x: 0, y: 0, ...this.size }) {
    this.result.hidden = !address;
    if (!address) { this.result.removeAttribute("src"); return; }
    if (this.result.getAttribute("src") !== address) this.result.src = address;
    Object.assign(this.result.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px`, height: `${box.height}px` });
  }

  // ---- where it lies
  fit() {
    this.#show(fitted(this.room, this.size));
    this.isFitted = true;
  }

  zoom(factor, at = this.middle) { this.#show(zoomed(this.view, factor, at)); }
  zoomTo(scale) { this.zoom(scale / this.view.scale); }
  move(dx, dy) { this.#show(moved(this.view, dx, dy)); }
  pinch(before, now) { this.#show(pinched(this.view, before, now)); }

  #show(view) {
    if (!this.base.width || !this.room.width) return;
    this.view = held(view, this.room, this.size);
    this.isFitted = false;
    const { scale, x, y } = this.view, { width, height } = this.room;
    this.sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.sheet.style.setProperty("--scale", scale);
    this.sheet.classList.toggle("is-large", scale >= 2);
    const far = { left: x, right: x + this.size.width * scale, top: y, bottom: y + this.size.height * scale };
    const between = (low, value, high) => Math.max(low, Math.min(value, high));
    for (const side of sides) {
      const isLevel = side === "left" || side === "right";
      const left = isLevel ? between(14, far[side], width - 14) : between(14, (far.left + far.right) / 2, width - 14);
      const top = isLevel ? between(14, (far.top + far.bottom) / 2, height - 14) : between(14, far[side], height - 14);
      Object.assign(this.handles[side].style, { left: `${left}px`, top: `${top}px` });
    }
    this.onView();
  }

  // ---- points and lines
  inArea(event) {
    const box = this.area.getBoundingClientRect();
    return { x: event.clientX - box.left - this.area.clientLeft, y: event.clientY - box.top - this.area.clientTop };
  }
  toPicture(at) { return toPicture(this.view, at); }

  /** Show the brush around a point of the picture; nowhere where there is none. */
  showBrush(at) {
    this.brush.toggleAttribute("hidden", !at);
    if (!at) return;
    const { x, y } = toArea(this.view, at);
    for (const ring of this.brush.children) for (const [name, value] of [["cx", x], ["cy", y], ["r", Math.max(1, at.radius * this.view.scale)]]) ring.setAttribute(name, value);
  }

  showTrace(points) {
    const line = points.map((point) => toArea(this.view, point)).map(({ x, y }, index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    this.trace.setAttribute("d", line.length > 1 ? `${line.join("")}Z` : "");
  }

  showFrame(box) { this.#rectangle(this.frame, box); }
  showGhost(box) { this.#rectangle(this.ghost, box); }

  #rectangle(element, box) {
    element.toggleAttribute("hidden", !box);
    if (!box) return;
    const { x, y } = toArea(this.view, box), { scale } = this.view;
    for (const [name, value] of [["x", x], ["y", y], ["width", box.width * scale], ["height", box.height * scale]]) element.setAttribute(name, value);
  }
}
