// What was done, to be undone and done again. A step knows how to exchange what is with what was before (`swap`), and how many bytes it
// keeps for that.

export class History {
  constructor(steps = 50, bytes = 256 << 20) {
    this.limits = { steps, bytes };
    this.clear();
  }

  clear() { this.past = []; this.future = []; }
  get canUndo() { return this.past.length > 0; }
  get canRedo() { return this.future.length > 0; }

  add(step) {
    this.future = [];
    this.past.push(step);
    let kept = this.past.reduce((sum, { bytes }) => sum + bytes, 0);
    // The newest step can always be undone.
    while (this.past.length > 1 && (this.past.length > this.limits.steps || kept > this.limits.bytes)) kept -= this.past.shift().bytes;
  }

  undo() { return this.#go(this.past, this.future); }
  redo() { return this.#go(this.future, this.past); }

  #go(from, to) {
    const step = from.pop();
    if (!step) return false;
    step.swap();
    to.push(step);
    return true;
  }
}
