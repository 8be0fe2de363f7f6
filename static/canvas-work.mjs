// What is worked on: a picture with its mask, what is done to both, and how that is undone.
import { stretched } from "./canvas-expand.mjs";
import { History } from "./canvas-history.mjs";
import { Mask, union } from "./canvas-mask.mjs";
import { extension } from "./canvas-region.mjs";
import { gesture } from "./canvas-tools.mjs";

export const longestSide = 4096;
const overlap = 8;

export const encoded = (canvas, name) => new Promise((resolve) => canvas.toBlob((blob) => resolve(new File([blob], name, { type: "image/png" })), "image/png"));

export class Work {
  // The picture as it is drawn and (by a promise) as a file, its size, its mask, the address that brought it, the output that it is made
  // `of`, and, while another one has its place, the size that the form asked for with it.
  sheet = null;
  #doing = null;

  /** @param act `changed()`; `size()` that the form asks for; `replaced(file, of, size)` when the form is to have another picture */
  constructor(surface, act) { Object.assign(this, { surface, act, history: new History() }); }

  get mask() { return this.sheet?.mask; }
  get trace() { return this.#doing?.gesture.trace ?? []; }
  get isDoing() { return this.#doing !== null; }

  // ---- the picture
  open(sheet) {
    this.history.clear();
    this.#lay(sheet);
    this.surface.fit();
    this.act.changed();
  }
  close() {
    this.sheet = null;
    this.history.clear();
    this.act.changed();
  }
  #lay(sheet) {
    this.sheet = Object.assign(sheet, { isKept: false });
    this.surface.lay(sheet.picture, sheet);
    this.surface.draw(sheet.mask);
  }
  // Another picture takes the place of this one, which can be undone.
  #replace(next) {
    const step = {
      bytes: 5 * this.sheet.width * this.sheet.height,
      other: next,
      swap: () => {
        const before = Object.assign(this.sheet, { size: this.act.size() }), mine = step.other;
        this.#lay(mine);
        step.other = before;
        mine.file.then((file) => { if (this.sheet === mine) this.act.replaced(file, mine.of, mine.size); });
      },
    };
    step.swap();
    this.history.add(step);
    this.act.changed();
  }

  /** Grow the picture by pixels at its sides, in steps of `multiple`. */
  grow(sides, multiple) {
    const { picture, width, height, mask, source, of } = this.sheet, grown = extension(sides, this.sheet, multiple, longestSide);
    if (!Object.values(grown).some(Boolean)) return;
    const larger = stretched(picture, width, height, grown);
    const round = (side) => Math.max(multiple, Math.round(side / multiple) * multiple);
    this.#replace({
      picture: larger,
      width: larger.width,
      height: larger.height,
      source,
      of,
      file: encoded(larger, "extended.png"),
      mask: mask.grown(grown, overlap),
      size: [round(larger.width), round(larger.height)],
    });
    this.surface.fit();
  }

  /** A result takes the picture's place; nothing of it is masked yet. */
  async accept(file, of) {
    const picture = await createImageBitmap(file), { width, height } = picture;
    this.#replace({ picture, width, height, source: this.sheet.source, of, file: Promise.resolve(file), mask: new Mask(width, height), size: this.act.size() });
  }

  // ---- the mask: one gesture at a time; what it touched is kept
  begin(tool, at, isOther, tolerance) {
    const colours = { pixels: () => this.surface.pixels(), tolerance };
    this.#doing = { gesture: gesture(tool, this.mask, isOther, colours), before: this.mask.data.slice(), touched: null };
    this.#went(this.#doing.gesture.begin(at));
  }
  move(at) { if (this.#doing) this.#went(this.#doing.gesture.move(at)); }
  finish() {
    if (!this.#doing) return;
    this.#went(this.#doing.gesture.end());
    const { touched, before } = this.#doing;
    this.#doing = null;
    this.surface.showTrace([]);
    this.#remember(touched, before);
  }
  /** Take back what a gesture has done so far; whether there was one. */
  abandon() {
    if (!this.#doing) return false;
    const { touched, before } = this.#doing;
    this.#doing = null;
    this.surface.showTrace([]);
    this.mask.data.set(before);
    this.surface.draw(this.mask, touched);
    return true;
  }
  #went(box) {
    this.surface.draw(this.mask, box);
    this.#doing.touched = union(this.#doing.touched, box);
    this.surface.showTrace(this.trace);
  }

  /** Change all of the mask: `invert` or `clear`. */
  change(what) {
    const before = this.mask.data.slice(), box = this.mask[what]();
    this.surface.draw(this.mask, box);
    this.#remember(box, before);
  }
  #remember(box, before) {
    if (!box) return;
    const { surface, mask } = this;
    let values = mask.taken(box, before);
    this.history.add({
      bytes: values.length,
      swap() {
        const now = mask.taken(box);
        mask.put(box, values);
        values = now;
        surface.draw(mask, box);
      },
    });
    this.act.changed();
  }
  /** Put another mask in place, as the picture comes with it. */
  take(mask) {
    this.sheet.mask = mask;
    this.surface.draw(mask);
    this.act.changed();
  }

  /** Undo or do again; whether there was anything. */
  go(isBack) {
    this.abandon();
    const has = isBack ? this.history.undo() : this.history.redo();
    if (has) this.act.changed();
    return has;
  }
}
