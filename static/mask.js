// Painting a mask over the picture: what is painted will change. The mask and, after outpainting, the larger picture are put into the
// form's file fields, so the form is sent like any other.
"use strict";
(() => {
  const painter = document.querySelector("[data-painter]");
  if (!painter) return;
  const form = document.getElementById("generate");
  const base = painter.querySelector("[data-base]"), mask = painter.querySelector("[data-mask]");
  const pictureBox = form.querySelector('[data-field="init_image"]');
  const maskInput = document.getElementById("f-mask_image");
  const size = painter.querySelector("[data-size]"), feather = painter.querySelector("[data-feather]");
  const undoButton = painter.querySelector("[data-undo]");
  const longestSide = 2048, keptStrokes = 20, paint = "rgb(20, 190, 170)";
  const past = [];
  let tool = "brush", last = null;

  document.querySelector("[data-mask-file]").classList.add("visually-hidden");
  maskInput.tabIndex = -1;

  const context = (canvas) => canvas.getContext("2d", { willReadFrequently: false });
  const isReady = () => base.width > 0 && painter.classList.contains("has-picture");

  function begin(image) {
    const scale = Math.min(1, longestSide / Math.max(image.naturalWidth || image.width, image.naturalHeight || image.height));
    for (const canvas of [base, mask]) {
      canvas.width = Math.round((image.naturalWidth || image.width) * scale);
      canvas.height = Math.round((image.naturalHeight || image.height) * scale);
    }
    context(base).drawImage(image, 0, 0, base.width, base.height);
    past.length = 0;
    undoButton.disabled = true;
    painter.classList.add("has-picture");
    size.value = Math.max(8, Math.round(base.width / 12));
  }
  function load(url, maskUrl) {
    const image = new Image();
    image.onload = () => {
      begin(image);
      if (url.startsWith("blob:")) URL.revokeObjectURL(url);
      if (maskUrl) loadMask(maskUrl);
    };
    image.src = url;
  }
  // A mask file is white where the picture will change; on the canvas that is paint on nothing.
  function loadMask(url) {
    const image = new Image();
    image.onload = () => {
      const target = context(mask);
      target.drawImage(image, 0, 0, mask.width, mask.height);
      const pixels = target.getImageData(0, 0, mask.width, mask.height);
      for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set([20, 190, 170, pixels.data[at]], at);
      target.putImageData(pixels, 0, 0);
    };
    image.src = url;
  }
  pictureBox.addEventListener("sdrest-picture", (event) => {
    if (event.detail.exact) return;
    if (event.detail.file) load(URL.createObjectURL(event.detail.file));
    else { painter.classList.remove("has-picture"); base.width = mask.width = 0; give(maskInput, null); }
  });
  const [reference, maskReference] = [pictureBox, document.querySelector("[data-mask-file]")].map((box) => box.querySelector("[type=hidden]"));
  if (reference) load(reference.dataset.url, maskReference?.dataset.url);

  // ---- giving files to the form
  function give(input, blob, name) {
    const data = new DataTransfer();
    if (blob) data.items.add(new File([blob], name, { type: "image/png" }));
    input.files = data.files;
  }
  function exported() {
    const canvas = document.createElement("canvas");
    canvas.width = mask.width;
    canvas.height = mask.height;
    const shape = document.createElement("canvas");
    shape.width = mask.width;
    shape.height = mask.height;
    const white = context(shape);
    white.drawImage(mask, 0, 0);
    white.globalCompositeOperation = "source-in";
    white.fillStyle = "#fff";
    white.fillRect(0, 0, shape.width, shape.height);
    const target = context(canvas);
    target.fillStyle = "#000";
    target.fillRect(0, 0, canvas.width, canvas.height);
    const radius = Number(feather.value) || 0;
    if (radius) target.filter = `blur(${radius}px)`;
    target.drawImage(shape, 0, 0);
    return canvas;
  }
  function isEmpty() {
    const probe = document.createElement("canvas");
    probe.width = probe.height = 64;
    const small = context(probe);
    small.drawImage(mask, 0, 0, 64, 64);
    return !small.getImageData(0, 0, 64, 64).data.some((value, index) => index % 4 === 3 && value > 0);
  }
  // Encoding takes a moment: what was drawn since then wins, and who sends the form waits for it.
  let version = 0;
  let pending = Promise.resolve();
  const encoded = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  function changed() {
    const mine = ++version;
    if (isEmpty()) { give(maskInput, null); return; }
    pending = Promise.all([pending, encoded(exported()).then((blob) => { if (mine === version) give(maskInput, blob, "mask.png"); })]);
  }
  document.body.addEventListener("htmx:confirm", (event) => {
    if (event.detail.elt !== form || !isReady()) return;
    event.preventDefault();
    if (last) { last = null; changed(); }
    pending.then(() => event.detail.issueRequest());
  });

  // ---- painting
  function copyOf(canvas) {
    const copy = document.createElement("canvas");
    copy.width = canvas.width;
    copy.height = canvas.height;
    if (canvas.width && canvas.height) context(copy).drawImage(canvas, 0, 0);
    return copy;
  }
  function put(canvas, copy) {
    canvas.width = copy.width;
    canvas.height = copy.height;
    context(canvas).drawImage(copy, 0, 0);
  }
  // The picture itself is only kept by what changes it.
  function remember(withPicture = false) {
    past.push({ mask: copyOf(mask), base: withPicture ? copyOf(base) : null });
    if (past.length > keptStrokes) past.shift();
    undoButton.disabled = false;
  }
  function undo() {
    const before = past.pop();
    undoButton.disabled = !past.length;
    if (!before) return;
    put(mask, before.mask);
    if (before.base) { put(base, before.base); givePicture(); }
    changed();
  }
  const place = (event) => {
    const box = mask.getBoundingClientRect();
    return { x: (event.clientX - box.left) * mask.width / box.width, y: (event.clientY - box.top) * mask.height / box.height };
  };
  function stroke(from, to) {
    const target = context(mask);
    target.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    target.strokeStyle = paint;
    target.lineWidth = Number(size.value);
    target.lineCap = target.lineJoin = "round";
    target.beginPath();
    target.moveTo(from.x, from.y);
    target.lineTo(to.x + 0.01, to.y);
    target.stroke();
    target.globalCompositeOperation = "source-over";
  }
  mask.addEventListener("pointerdown", (event) => {
    if (!isReady() || event.button > 0) return;
    event.preventDefault();
    mask.setPointerCapture(event.pointerId);
    remember();
    last = place(event);
    stroke(last, last);
  });
  mask.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) { const next = place(part); stroke(last, next); last = next; }
  });
  for (const name of ["pointerup", "pointercancel"]) mask.addEventListener(name, () => { if (last) { last = null; changed(); } });

  painter.addEventListener("click", (event) => {
    const button = event.target.closest("[data-tool]");
    if (button) {
      tool = button.dataset.tool;
      for (const other of painter.querySelectorAll("[data-tool]")) other.setAttribute("aria-pressed", String(other === button));
    }
    if (!isReady()) return;
    const target = context(mask);
    if (event.target.closest("[data-undo]")) undo();
    if (event.target.closest("[data-invert]")) {
      remember();
      target.globalCompositeOperation = "source-out";
      target.fillStyle = paint;
      target.fillRect(0, 0, mask.width, mask.height);
      target.globalCompositeOperation = "source-over";
      changed();
    }
    if (event.target.closest("[data-clear-mask]")) { remember(); target.clearRect(0, 0, mask.width, mask.height); changed(); }
    if (event.target.closest("[data-extend]")) extend();
  });
  feather.addEventListener("change", () => { if (isReady()) changed(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=range]), textarea, select")) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undo(); }
    if (event.key === "[") size.value = Number(size.value) - 6;
    if (event.key === "]") size.value = Number(size.value) + 6;
  });

  // ---- outpainting
  // The canvas' picture becomes the form's, shown above and as large as it is.
  function givePicture() {
    pending = Promise.all([pending, encoded(base).then((blob) => {
      window.sdrest.give(pictureBox, [new File([blob], "extended.png", { type: "image/png" })], { exact: true });
    })]);
  }
  function extend() {
    const side = Object.fromEntries([...painter.querySelectorAll("[data-side]")].map((input) => [input.dataset.side, Math.max(0, Math.round(Number(input.value) || 0))]));
    if (!side.left && !side.right && !side.top && !side.bottom) return;
    remember(true);
    const { mask: oldMask, base: old } = past.at(-1), w = old.width, h = old.height;
    // Sizes go in steps: what is missing to the next one is painted too, at a side that grows.
    const multiple = Number(document.getElementById("model-note")?.dataset.multiple) || 8;
    const rest = (length) => (multiple - length % multiple) % multiple;
    if (side.left || side.right) side[side.right ? "right" : "left"] += rest(w + side.left + side.right);
    if (side.top || side.bottom) side[side.bottom ? "bottom" : "top"] += rest(h + side.top + side.bottom);
    for (const canvas of [base, mask]) { canvas.width = w + side.left + side.right; canvas.height = h + side.top + side.bottom; }
    const target = context(base);
    // The border starts out as the stretched edge of the picture: closer to what will be there than one colour.
    target.drawImage(old, 0, 0, 1, h, 0, side.top, side.left + 1, h);
    target.drawImage(old, w - 1, 0, 1, h, side.left + w - 1, side.top, side.right + 1, h);
    target.drawImage(old, 0, 0, w, h, side.left, side.top, w, h);
    target.drawImage(base, 0, side.top, base.width, 1, 0, 0, base.width, side.top);
    target.drawImage(base, 0, side.top + h - 1, base.width, 1, 0, side.top + h, base.width, side.bottom);
    const border = context(mask), overlap = 8;
    border.fillStyle = paint;
    border.fillRect(0, 0, mask.width, mask.height);
    border.clearRect(side.left + (side.left ? overlap : 0), side.top + (side.top ? overlap : 0), w - (side.left ? overlap : 0) - (side.right ? overlap : 0), h - (side.top ? overlap : 0) - (side.bottom ? overlap : 0));
    border.drawImage(oldMask, side.left, side.top);
    givePicture();
    changed();
    for (const input of painter.querySelectorAll("[data-side]")) input.value = 0;
  }
})();
