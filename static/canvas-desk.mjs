// The canvas: its tools, pointers and keys, what is shown of it, and what the browser remembers of it.
import { expanding } from "./canvas-expand.mjs";
import { multiple, paintedPart, replaced, sending, size } from "./canvas-form.mjs";
import { keys } from "./canvas-keys.mjs";
import { Mask, maskOf } from "./canvas-mask.mjs";
import { pointers, pressed } from "./canvas-pointer.mjs";
import { Results } from "./canvas-results.mjs";
import { forget, keep } from "./canvas-store.mjs";
import { Surface } from "./canvas-surface.mjs";
import { isPainting, isRound } from "./canvas-tools.mjs";
import { longestSide, Work } from "./canvas-work.mjs";

const { form, give, announce, referenceTo } = window.sdrest;
const root = document.querySelector("[data-canvas]"), desk = root.closest("[data-desk]");
const one = (name) => root.querySelector(`[data-${name}]`), all = (name) => [...root.querySelectorAll(`[data-${name}]`)];
const pictureBox = form.element.querySelector('[data-field="init_image"]'), maskBox = form.element.querySelector("[data-mask-file] [data-drop]");
const [brushSize, tolerance] = [one("size"), one("tolerance")];
let tool = "brush";

const surface = new Surface(root);
const work = new Work(surface, { changed, size, replaced });
const results = new Results(one("results"), {
  show: (address) => surface.cover(address),
  async accept(address) {
    const blob = await (await fetch(address)).blob();
    await work.accept(new File([blob], blob.type.replace("image/", "result."), { type: blob.type }), referenceTo(address));
  },
  changed,
});
sending(work, results, surface);
const say = (text) => { one("said").textContent = text; };

// ---- pictures come and go
export async function open(file, source, drawn = {}) {
  let picture;
  try { picture = await createImageBitmap(file); } catch {
    announce(root.dataset.unreadable, true);
    return;
  }
  const scale = Math.min(1, longestSide / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  brushSize.max = Math.max(64, Math.round(Math.max(width, height) / 2));
  brushSize.value = Math.max(8, Math.round(Math.max(width, height) / 12));
  desk.classList.add("has-picture");
  results.drop();
  const mask = drawn.width === width && drawn.height === height ? new Mask(width, height, drawn.data) : new Mask(width, height);
  work.open({ picture, width, height, source, of: drawn.of, file: Promise.resolve(file), mask });
}
export function close() {
  desk.classList.remove("has-picture");
  results.drop();
  work.close();
}
/** Go on with what was kept. A link that brings pictures wins over it, unless it is the very one that the kept ones came by. */
export async function begin(before) {
  const source = location.search, [reference, maskReference] = [pictureBox, maskBox].map((box) => box.querySelector("[data-url]"));
  if (work.sheet) return;
  if (before.file && (!reference || before.source === source)) {
    await open(before.file, before.source, { ...before.mask, of: before.of });
    give(pictureBox, [before.file], { isOfCanvas: true, of: before.of });
    before.jobs?.forEach((job) => results.follow(job));
  } else if (reference) {
    const fetched = async (address) => (await fetch(address)).blob();
    await open(await fetched(reference.dataset.url), source, { of: referenceTo(reference.dataset.url) });
    if (maskReference) await takeMask(await fetched(maskReference.dataset.url));
  }
  maskReference?.remove();
}
async function takeMask(file) {
  const { width, height } = work.sheet, canvas = Object.assign(document.createElement("canvas"), { width, height }), pen = canvas.getContext("2d");
  pen.drawImage(await createImageBitmap(file), 0, 0, width, height);
  work.take(maskOf(pen.getImageData(0, 0, width, height).data, width, height));
}

// ---- what is shown
const canChange = () => Boolean(work.sheet) && !results.isShown;
const canDraw = () => canChange() && isPainting(tool);
function changed() {
  one("undo").disabled = !canChange() || !work.history.canUndo;
  one("redo").disabled = !canChange() || !work.history.canRedo;
  for (const button of all("tool")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    button.disabled = !work.sheet || (results.isShown && isPainting(button.dataset.tool));
  }
  for (const button of all("do")) button.disabled = !canChange();
  one("size-field").hidden = !isRound(tool);
  one("tolerance-field").hidden = tool !== "colour";
  surface.area.dataset.cursor = canDraw() ? tool : "move";
  surface.mask.hidden = results.isShown;
  showPart();
  save();
}
function showPart() { surface.showFrame(results.isShown ? null : paintedPart(work.sheet)); }
surface.onView = () => {
  one("scale").textContent = `${Math.round(100 * surface.view.scale)} %`;
  surface.showTrace(work.trace);
  surface.showBrush(null);
  showPart();
};
for (const name of ["input", "change"]) form.element.addEventListener(name, showPart);

// ---- what the browser remembers
let saving = 0;
function save() {
  root.dataset.kept = "no";
  clearTimeout(saving);
  saving = setTimeout(write, 400);
}
async function write() {
  clearTimeout(saving);
  const { sheet } = work;
  if (!sheet) await forget();
  else {
    const { width, height, data } = sheet.mask, file = sheet.isKept ? null : await sheet.file;
    await keep({ mask: { width, height, data }, source: sheet.source, of: sheet.of ?? "", jobs: [...results.awaited], ...(file && { file }) });
    sheet.isKept = true;
  }
  if (sheet === work.sheet) root.dataset.kept = "yes";
}
document.addEventListener("visibilitychange", () => { if (document.hidden && root.dataset.kept === "no") write(); });
for (const link of document.querySelectorAll("[data-reset]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    clearTimeout(saving);
    await forget();
    location.assign(link.href);
  });
}

// ---- tools
function choose(name) {
  work.abandon();
  tool = name;
  changed();
}
function go(isBack) { if (canChange() && work.go(isBack)) say(one(isBack ? "undo" : "redo").ariaLabel); }
function grow(sides) {
  if (!canChange()) return;
  work.grow(sides, multiple());
  say(`${work.sheet.width} × ${work.sheet.height}`);
}
const zooms = { fit: () => surface.fit(), one: () => surface.zoomTo(1), nearer: () => surface.zoom(1.25), farther: () => surface.zoom(0.8) };
root.addEventListener("click", (event) => {
  const button = event.target.closest("button"), { tool: chosen, do: what, zoom } = button?.dataset ?? {};
  if (chosen) choose(chosen);
  if (what) work.change(what);
  if (zoom && work.sheet) zooms[zoom]();
  if (button === one("undo")) go(true);
  if (button === one("redo")) go(false);
});
form.element.querySelector("[data-extend]").addEventListener("click", () => {
  const fields = [...form.element.querySelectorAll("[data-side]")];
  grow(Object.fromEntries(fields.map((input) => [input.dataset.side, Number(input.value)])));
  for (const input of fields) input.value = 0;
});
expanding(surface.handles, {
  scale: () => surface.view.scale,
  step: () => 64,
  show(side, pixels) {
    const { width, height } = work.sheet;
    const along = { left: { x: -pixels, width: width + pixels }, right: { width: width + pixels }, top: { y: -pixels, height: height + pixels }, bottom: { height: height + pixels } }[side];
    surface.showGhost(pixels ? { x: 0, y: 0, width, height, ...along } : null);
    one("grown").hidden = !pixels;
    one("grown").textContent = `+${pixels} px`;
    if (pixels) say(`+${pixels} px`);
  },
  grow: (side, pixels) => grow({ [side]: pixels }),
});

// ---- pointers
const radius = () => Number(brushSize.value) / 2;
const brushAt = (at, event) => ({ ...surface.toPicture(at), radius: pressed(radius(), event) });
const hand = pointers(surface.area, (event) => surface.inArea(event), {
  isDrawing: canDraw,
  begin: (at, event) => work.begin(tool, brushAt(at, event), event.altKey, Number(tolerance.value)),
  move: (at, event) => work.move(brushAt(at, event)),
  end: () => work.finish(),
  cancel: () => work.abandon(),
  pan: (dx, dy) => surface.move(dx, dy),
  pinch: (before, now) => surface.pinch(before, now),
  zoom: (factor, at) => surface.zoom(factor, at),
  hover: (at, event) => surface.showBrush(at && canDraw() && isRound(tool) ? brushAt(at, event.buttons ? event : null) : null),
});

// ---- the keyboard, with a pen of its own: a point of the picture
let pen = null;
const letters = { b: "brush", e: "eraser", r: "rectangle", l: "lasso", w: "colour", h: "move" };
const presses = {
  x: () => choose(tool === "brush" ? "eraser" : "brush"),
  i: () => { if (canChange()) work.change("invert"); },
  Delete: () => { if (canChange()) work.change("clear"); },
  "[": () => { brushSize.value = Math.floor(Number(brushSize.value) * 0.85); },
  "]": () => { brushSize.value = Math.ceil(Number(brushSize.value) * 1.18); },
  0: zooms.fit,
  1: zooms.one,
  "+": zooms.nearer,
  "-": zooms.farther,
};
function penAt(dx, dy) {
  const { width, height } = work.sheet, within = (value, most) => Math.min(most, Math.max(0, value));
  pen = { x: within((pen?.x ?? width / 2) + dx, width), y: within((pen?.y ?? height / 2) + dy, height), radius: radius() };
  return pen;
}
keys(root, surface.area, {
  isActive: () => Boolean(work.sheet) && desk.dataset.view === "canvas" && !document.querySelector("dialog[open], :popover-open"),
  undo: () => go(true),
  redo: () => go(false),
  hold: hand.hold,
  step(dx, dy, isFine) {
    const by = isFine ? 1 : Math.max(4, Math.round(radius() / 2));
    work.move(penAt(dx * by, dy * by));
    surface.showBrush(pen);
    say(`${Math.round(pen.x)}, ${Math.round(pen.y)}`);
  },
  set() {
    if (work.isDoing) {
      work.finish();
      say(root.dataset.lifted);
    } else if (canDraw()) {
      work.begin(tool, penAt(0, 0), false, Number(tolerance.value));
      surface.showBrush(pen);
      say(root.dataset.set);
    }
  },
  lift: () => work.abandon(),
  press(key) {
    if (letters[key] && (canChange() || key === "h")) choose(letters[key]);
    presses[key]?.();
    return key in letters || key in presses;
  },
});
