// The canvas without a browser: what its modules reckon.
import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../../../../static/canvas-history.mjs";
import { Mask, maskOf, tinted, union, written } from "../../../../../static/canvas-mask.mjs";
import { extension } from "../../../../../static/canvas-region.mjs";
import { gesture } from "../../../../../static/canvas-tools.mjs";
import { fitted, held, moved, pinched, toArea, toPicture, zoomed } from "../../../../../static/canvas-view.mjs";

const near = (a, b) => assert.ok(Math.abs(a.x - b.x) < 1e-9 && Math.abs(a.y - b.y) < 1e-9, `${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
const at = (x, y, radius = 0) => ({ x, y, radius });
const rows = (mask) => Array.from({ length: mask.height }, (_, y) => [...mask.data.slice(y * mask.width, (y + 1) * mask.width)].map((value) => (value === 255 ? "#" : value ? "+" : ".")).join(""));

test("what is under the pointer stays there when the picture is zoomed", () => {
  const view = { scale: 0.7, x: 13, y: -40 }, point = at(200, 90);
  for (const factor of [1.25, 0.3, 1000, 0.0001]) near(toPicture(zoomed(view, factor, point), point), toPicture(view, point));
  assert.equal(zoomed(view, 1000, point).scale, 32);
});

test("a picture fits its area, in the middle, and a small one is not blown up", () => {
  for (const picture of [{ width: 4096, height: 512 }, { width: 300, height: 3000 }, { width: 16, height: 16 }]) {
    const area = { width: 390, height: 410 }, view = fitted(area, picture);
    const first = toArea(view, at(0, 0)), last = toArea(view, at(picture.width, picture.height));
    assert.ok(first.x >= 0 && first.y >= 0 && last.x <= area.width && last.y <= area.height);
    near(at(first.x + last.x, first.y + last.y), at(area.width, area.height));
    assert.ok(view.scale <= 4);
  }
});

test("two fingers carry along what lies under them", () => {
  const view = { scale: 1, x: 5, y: 6 }, before = [at(100, 100), at(200, 100)], now = [at(120, 150), at(320, 150)];
  const after = pinched(view, before, now);
  assert.equal(after.scale, 2);
  near(toPicture(after, now[0]), toPicture(view, before[0]));
  near(toPicture(after, now[1]), toPicture(view, before[1]));
});

test("a picture cannot be lost out of sight", () => {
  const area = { width: 400, height: 300 }, picture = { width: 100, height: 100 };
  for (const [dx, dy] of [[9999, 0], [-9999, 0], [0, 9999], [0, -9999]]) {
    const view = held(moved({ scale: 2, x: 0, y: 0 }, dx, dy), area, picture);
    assert.ok(view.x <= 352 && view.x >= -152 && view.y <= 252 && view.y >= -152);
  }
});

test("a brush is round, soft at its edge, and erases what it painted", () => {
  const mask = new Mask(9, 5);
  const touched = mask.stroke(at(2.5, 2.5, 1.5), at(6.5, 2.5, 1.5));
  assert.deepEqual(rows(mask), [".........", ".+#####+.", ".#######.", ".+#####+.", "........."]);
  assert.deepEqual(touched, { x: 0, y: 0, width: 9, height: 5 });
  mask.stroke(at(2.5, 2.5, 3), at(6.5, 2.5, 3), true);
  assert.ok(mask.isEmpty);
  assert.equal(mask.stroke(at(-50, -50, 3), at(-40, -50, 3)), null);
});

test("a brush grows along a stroke with the pressure of the pen", () => {
  const mask = new Mask(60, 21);
  mask.stroke(at(8.5, 10.5, 1), at(50.5, 10.5, 8));
  const high = (x) => rows(mask).filter((row) => row[x] === "#").length;
  assert.ok(high(10) < high(30) && high(30) < high(50));
});

test("a lasso takes what it goes round, also where it crosses itself", () => {
  const mask = new Mask(8, 4);
  mask.polygon([at(1, 1), at(7, 1), at(7, 3), at(1, 3)]);
  assert.deepEqual(rows(mask), ["........", ".######.", ".######.", "........"]);
  mask.clear();
  // Twice around the same square: the inner turn leaves no hole.
  mask.polygon([at(0, 0), at(8, 0), at(8, 4), at(0, 4), at(0, 0), at(8, 0), at(8, 4), at(0, 4)]);
  assert.deepEqual(new Set(mask.data), new Set([255]));
  mask.polygon([at(-5, -5), at(4, -5), at(4, 20), at(-5, 20)], true);
  assert.deepEqual(rows(mask)[0], "....####");
  assert.equal(mask.polygon([at(1, 1), at(2, 2)]), null);
});

test("a rectangle takes whole pixels from any corner", () => {
  const mask = new Mask(6, 4);
  assert.deepEqual(mask.rectangle(at(4.4, 2.6), at(0.6, -9)), { x: 1, y: 0, width: 3, height: 3 });
  assert.deepEqual(rows(mask), [".###..", ".###..", ".###..", "......"]);
});

test("a colour is taken as far as it hangs together", () => {
  const picture = ["aabba", "abbaa", "bbaaa", "aaaab"].map((row) => [...row]);
  const pixels = new Uint8ClampedArray(picture.flat().flatMap((letter) => (letter === "a" ? [100, 50, 50, 255] : [110, 50, 50, 255])));
  const mask = new Mask(5, 4);
  assert.deepEqual(mask.colour(pixels, at(3.5, 0.5), 0), { x: 0, y: 0, width: 4, height: 3 });
  assert.deepEqual(rows(mask), ["..##.", ".##..", "##...", "....."]);
  mask.colour(pixels, at(3.5, 0.5), 0, true);
  assert.ok(mask.isEmpty);
  mask.colour(pixels, at(0, 0), 10);
  assert.deepEqual(new Set(mask.data), new Set([255]));
  assert.equal(mask.colour(pixels, at(5, 0), 0), null);
});

test("a large even ground is taken at once", () => {
  const mask = new Mask(1024, 1024);
  mask.colour(new Uint8ClampedArray(4 << 20), at(512, 512), 0);
  assert.deepEqual(mask.box(), mask.all);
});

test("a mask knows where it is, and is the same file and back", () => {
  const mask = new Mask(7, 5);
  assert.equal(mask.box(), null);
  mask.rectangle(at(2, 1), at(5, 4));
  assert.deepEqual(mask.box(), { x: 2, y: 1, width: 3, height: 3 });
  assert.deepEqual(maskOf(written(mask), 7, 5).data, mask.data);
  assert.deepEqual([...tinted(mask, { x: 1, y: 1, width: 2, height: 1 }, [1, 2, 3])], [0, 0, 0, 0, 1, 2, 3, 255]);
  mask.invert();
  assert.equal(mask.data.filter((value) => value === 0).length, 9);
});

test("what comes to a picture will change, with a little of what it adjoins", () => {
  const mask = new Mask(4, 3);
  mask.rectangle(at(3, 2), at(4, 3));
  assert.deepEqual(rows(mask.grown({ left: 2 }, 1)), ["###...", "###...", "###..#"]);
  assert.deepEqual(rows(mask.grown({ top: 1, bottom: 1 }, 1)), ["####", "####", "....", "####", "####"]);
});

test("a picture grows by whole steps and within bounds", () => {
  const square = { width: 512, height: 512 };
  assert.deepEqual(extension({ left: 250, right: 256 }, square, 16, 4096), { left: 250, top: 0, right: 262, bottom: 0 });
  assert.deepEqual(extension({ left: 250 }, square, 16, 4096), { left: 256, top: 0, right: 0, bottom: 0 });
  assert.deepEqual(extension({ bottom: 9999 }, square, 64, 1000), { left: 0, top: 0, right: 0, bottom: 448 });
  assert.deepEqual(extension({ top: -5 }, square, 8, 4096), { left: 0, top: 0, right: 0, bottom: 0 });
});

test("steps are undone and done again, fifty of them and no more, and a new one ends the future", () => {
  const history = new History();
  let state = 0;
  const step = (value, bytes = 1) => {
    const kept = { bytes, swap() { [state, kept.other] = [kept.other, state]; }, other: state };
    state = value;
    history.add(kept);
  };
  for (let value = 1; value <= 60; value++) step(value);
  let undone = 0;
  while (history.undo()) undone++;
  assert.deepEqual([undone, state], [50, 10]);
  while (history.redo());
  assert.equal(state, 60);
  history.undo();
  step(99);
  assert.equal(history.canRedo, false);
  history.undo();
  assert.equal(state, 59);
});

test("what undoing keeps is bounded by its size too, but the newest step stays", () => {
  const history = new History(50, 100);
  for (let index = 0; index < 9; index++) history.add({ bytes: 30, swap() {} });
  assert.equal(history.past.length, 3);
  history.add({ bytes: 1000, swap() {} });
  assert.equal(history.past.length, 1);
});

test("every tool paints, and erases when it is asked to", () => {
  const colours = { pixels: () => new Uint8ClampedArray(4 * 64), tolerance: 0 };
  for (const tool of ["brush", "rectangle", "lasso", "colour"]) {
    const mask = new Mask(8, 8);
    const drag = (isOther) => {
      const one = gesture(tool, mask, isOther, colours);
      // A soft edge is gone when more than it is erased.
      const radius = isOther ? 4 : 2;
      return [one.begin(at(1, 1, radius)), one.move(at(7, 1, radius)), one.move(at(7, 7, radius)), one.end()].reduce(union);
    };
    assert.ok(drag(false), tool);
    assert.equal(mask.isEmpty, false, tool);
    drag(true);
    assert.ok(mask.isEmpty, tool);
  }
  const mask = new Mask(8, 8);
  mask.invert();
  const eraser = gesture("eraser", mask, false, colours);
  eraser.begin(at(4, 4, 2));
  assert.equal(mask.data[4 * 8 + 4], 0);
});
