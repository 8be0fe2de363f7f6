// A mask: how much each pixel will change, 0 to 255. What changes it gives the rectangle that it touched, or null.

export function union(a, b) {
  if (!a || !b) return a ?? b;
  const x = Math.min(a.x, b.x), y = Math.min(a.y, b.y);
  return { x, y, width: Math.max(a.x + a.width, b.x + b.width) - x, height: Math.max(a.y + a.height, b.y + b.height) - y };
}

export class Mask {
  constructor(width, height, data = new Uint8Array(width * height)) {
    Object.assign(this, { width, height, data });
  }

  get all() { return { x: 0, y: 0, width: this.width, height: this.height }; }
  get isEmpty() { return !this.data.some((value) => value > 0); }

  /** The whole pixels within left, top, right and bottom; null where there is none. */
  within(left, top, right, bottom) {
    const x = Math.max(0, Math.floor(left)), y = Math.max(0, Math.floor(top));
    const width = Math.min(this.width, Math.ceil(right)) - x, height = Math.min(this.height, Math.ceil(bottom)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  /** Where anything will change; null where nothing will. */
  box() {
    const { width, height, data } = this;
    let left = width, right = -1, top = -1, bottom = -1;
    for (let y = 0; y < height; y++) {
      const row = y * width;
      let first = 0;
      while (first < width && !data[row + first]) first++;
      if (first === width) continue;
      let last = width - 1;
      while (!data[row + last]) last--;
      if (top < 0) top = y;
      bottom = y;
      left = Math.min(left, first);
      right = Math.max(right, last);
    }
    return top < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  }

  /** A round line with soft edges between two points {x, y, radius}, painted or erased. */
  stroke(from, to, isErased = false) {
    const reach = Math.max(from.radius, to.radius) + 1;
    const box = this.within(Math.min(from.x, to.x) - reach, Math.min(from.y, to.y) - reach, Math.max(from.x, to.x) + reach, Math.max(from.y, to.y) + reach);
    if (!box) return null;
    const dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy, grown = to.radius - from.radius;
    for (let y = box.y; y < box.y + box.height; y++) {
      for (let x = box.x; x < box.x + box.width; x++) {
        const px = x + 0.5 - from.x, py = y + 0.5 - from.y;
        const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        const away = Math.hypot(px - along * dx, py - along * dy);
        const value = Math.round(255 * Math.min(1, Math.max(0, from.radius + along * grown + 0.5 - away)));
        const at = y * this.width + x;
        this.data[at] = isErased ? Math.min(this.data[at], 255 - value) : Math.max(this.data[at], value);
      }
    }
    return box;
  }

  /** The pixels whose middle is within a closed line of points, however it crosses itself. */
  polygon(points, isErased = false) {
    const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
    const box = points.length < 3 ? null : this.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
    if (!box) return null;
    for (let y = box.y; y < box.y + box.height; y++) {
      const middle = y + 0.5, crossings = [];
      points.forEach((a, index) => {
        const b = points[(index + 1) % points.length];
        if ((a.y <= middle) === (b.y <= middle)) return;
        crossings.push({ x: a.x + (middle - a.y) / (b.y - a.y) * (b.x - a.x), turn: a.y < b.y ? 1 : -1 });
      });
      crossings.sort((a, b) => a.x - b.x);
      let turns = 0;
      crossings.forEach((crossing, index) => {
        turns += crossing.turn;
        if (!turns) return;
        const begin = Math.max(0, Math.ceil(crossing.x - 0.5)), end = Math.min(this.width, Math.ceil(crossings[index + 1].x - 0.5));
        if (begin < end) this.data.fill(isErased ? 0 : 255, y * this.width + begin, y * this.width + end);
      });
    }
    return box;
  }

  rectangle(a, b, isErased = false) {
    const [left, right] = [Math.round(Math.min(a.x, b.x)), Math.round(Math.max(a.x, b.x))];
    const [top, bottom] = [Math.round(Math.min(a.y, b.y)), Math.round(Math.max(a.y, b.y))];
    const box = this.within(left, top, right, bottom);
    if (box) for (let y = box.y; y < box.y + box.height; y++) this.data.fill(isErased ? 0 : 255, y * this.width + box.x, y * this.width + box.x + box.width);
    return box;
  }

  /** All pixels that hang together with the one at `at` and differ from its colour by `tolerance` (0 to 255) or less in each channel. */
  colour(pixels, at, tolerance, isErased = false) {
    const { width, height, data } = this, x0 = Math.floor(at.x), y0 = Math.floor(at.y);
    if (x0 < 0 || y0 < 0 || x0 >= width || y0 >= height) return null;
    const first = 4 * (y0 * width + x0), [r, g, b] = [pixels[first], pixels[first + 1], pixels[first + 2]];
    const seen = new Uint8Array(width * height);
    const fits = (index) => !seen[index] && Math.abs(pixels[4 * index] - r) <= tolerance && Math.abs(pixels[4 * index + 1] - g) <= tolerance && Math.abs(pixels[4 * index + 2] - b) <= tolerance;
    let left = x0, right = x0, top = y0, bottom = y0;
    // Whole runs of a row are taken at once; each leads to the runs above and below.
    const waiting = [y0 * width + x0];
    while (waiting.length) {
      const index = waiting.pop();
      if (!fits(index)) continue;
      const row = Math.floor(index / width) * width;
      let begin = index, end = index + 1;
      while (begin > row && fits(begin - 1)) begin--;
      while (end < row + width && fits(end)) end++;
      seen.fill(1, begin, end);
      data.fill(isErased ? 0 : 255, begin, end);
      left = Math.min(left, begin - row);
      right = Math.max(right, end - 1 - row);
      top = Math.min(top, row / width);
      bottom = Math.max(bottom, row / width);
      for (const other of [row - width, row + width]) {
        if (other < 0 || other >= width * height) continue;
        for (let next = begin - row + other, isRun = false; next < end - row + other; next++) {
          const isFit = fits(next);
          if (isFit && !isRun) waiting.push(next);
          isRun = isFit;
        }
      }
    }
    return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  }

  invert() {
    this.data.forEach((value, index) => { this.data[index] = 255 - value; });
    return this.all;
  }

  clear() {
    this.data.fill(0);
    return this.all;
  }

  /** A copy of a rectangle's values, row by row; of an earlier state of the mask where `data` is that. */
  taken(box, data = this.data) {
    const values = new Uint8Array(box.width * box.height);
    for (let y = 0; y < box.height; y++) {
      const begin = (box.y + y) * this.width + box.x;
      values.set(data.subarray(begin, begin + box.width), y * box.width);
    }
    return values;
  }

  put(box, values) {
    for (let y = 0; y < box.height; y++) this.data.set(values.subarray(y * box.width, (y + 1) * box.width), (box.y + y) * this.width + box.x);
  }

  /** The mask of a picture that grew: what came to it will change, and so will `overlap` pixels of what it adjoins. */
  grown({ left = 0, top = 0, right = 0, bottom = 0 }, overlap) {
    const next = new Mask(this.width + left + right, this.height + top + bottom);
    next.data.fill(255);
    const inner = (side) => side ? overlap : 0;
    const box = { x: 0, y: 0, width: this.width, height: this.height };
    for (let y = 0; y < box.height; y++) {
      const isInner = y >= inner(top) && y < box.height - inner(bottom), begin = (top + y) * next.width + left;
      if (isInner) next.data.set(this.data.subarray(y * this.width + inner(left), (y + 1) * this.width - inner(right)), begin + inner(left));
    }
    return next;
  }
}

/** A mask from the pixels of a mask file, which is white where the picture will change. */
export const maskOf = (pixels, width, height) => new Mask(width, height, new Uint8Array(width * height).map((_, index) => pixels[4 * index]));

/** The pixels of a rectangle in one colour, as opaque as the mask is strong. */
export function tinted(mask, box, [r, g, b]) {
  const values = mask.taken(box), pixels = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, index) => { if (value) pixels.set([r, g, b, value], 4 * index); });
  return pixels;
}

/** The pixels of a mask file. */
export function written(mask) {
  const pixels = new Uint8ClampedArray(4 * mask.data.length).fill(255);
  mask.data.forEach((value, index) => { pixels.fill(value, 4 * index, 4 * index + 3); });
  return pixels;
}
