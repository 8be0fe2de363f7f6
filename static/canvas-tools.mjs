// The tools that change the mask. A gesture begins, moves and ends at points {x, y, radius} of the picture, gives the rectangles that it
// touched, and has a line to show until it ends.

class Stroke {
  constructor(mask, isErased) { Object.assign(this, { mask, isErased, trace: [] }); }
  begin(at) { this.last = at; return this.mask.stroke(at, at, this.isErased); }
  move(at) {
    const touched = this.mask.stroke(this.last, at, this.isErased);
    this.last = at;
    return touched;
  }
  end() { return null; }
}

class Rectangle {
  constructor(mask, isErased) { Object.assign(this, { mask, isErased }); }
  begin(at) { this.first = this.last = at; return null; }
  move(at) { this.last = at; return null; }
  end() { return this.mask.rectangle(this.first, this.last, this.isErased); }
  get trace() {
    const { first: a, last: b } = this;
    return [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }];
  }
}

class Lasso {
  constructor(mask, isErased) { Object.assign(this, { mask, isErased, trace: [] }); }
  begin(at) { this.trace.push(at); return null; }
  move(at) {
    const last = this.trace.at(-1);
    if (Math.hypot(at.x - last.x, at.y - last.y) >= 0.5) this.trace.push(at);
    return null;
  }
  end() { return this.mask.polygon(this.trace, this.isErased); }
}

class Colour {
  constructor(mask, isErased, { pixels, tolerance }) { Object.assign(this, { mask, isErased, pixels, tolerance, trace: [] }); }
  begin(at) { return this.mask.colour(this.pixels(), at, this.tolerance, this.isErased); }
  move() { return null; }
  end() { return null; }
}

const kinds = { brush: Stroke, eraser: Stroke, rectangle: Rectangle, lasso: Lasso, colour: Colour };

/** A gesture of a tool; `isOther` has it erase instead of paint, or the eraser paint. */
export function gesture(tool, mask, isOther, colours) {
  return new kinds[tool](mask, (tool === "eraser") !== isOther, colours);
}

export const isPainting = (tool) => tool in kinds;
/** Whether a round brush shows how much a tool touches. */
export const isRound = (tool) => kinds[tool] === Stroke;
