// Looking closely: the picture on the stage is zoomed by wheel, pinch and keys, moved by dragging, laid over what it was made from, and shown
// on the full screen.
"use strict";
(() => {
  const most = 32;
  // Place and size of the picture that is looked at; 1 is as large as fits.
  let view = { scale: 1, x: 0, y: 0 };
  let frame = null;
  const pointers = new Map();
  let moved = 0;

  const image = () => frame?.querySelector("img");
  const fitted = () => {
    const { clientWidth, clientHeight } = frame, { naturalWidth, naturalHeight } = image();
    return Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight) || 1;
  };
  // The file may be larger than what is shown of it.
  const trueWidth = () => Number(image().getAttribute("width")) || image().naturalWidth;
  function apply() {
    const { scale, x, y } = view;
    for (const part of frame.querySelectorAll("img")) part.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
    frame.classList.toggle("is-zoomed", scale > 1);
    const shown = document.querySelector("[data-zoom-shown]");
    if (shown) shown.textContent = `${Math.round(100 * fitted() * scale * image().naturalWidth / trueWidth())} %`;
  }
  // A picture that is larger than its frame leaves no gap; a smaller one stays in the middle.
  const within = (at, length) => view.scale > 1 ? Math.min(0, Math.max(length * (1 - view.scale), at)) : length * (1 - view.scale) / 2;
  function clamp() {
    view.x = within(view.x, frame.clientWidth);
    view.y = within(view.y, frame.clientHeight);
  }
  const trueScale = () => trueWidth() / (image().naturalWidth * fitted());
  function zoom(factor, left, top) {
    const scale = Math.min(most, Math.max(Math.min(1, trueScale()), view.scale * factor));
    const by = scale / view.scale;
    view = { scale, x: left - (left - view.x) * by, y: top - (top - view.y) * by };
    clamp();
    apply();
  }
  const middle = () => [frame.clientWidth / 2, frame.clientHeight / 2];
  const place = (event) => { const box = frame.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  function fit() { view = { scale: 1, x: 0, y: 0 }; apply(); }
  function trueSize() {
    fit();
    zoom(trueScale(), ...middle());
  }

  function take(element) {
    if (!element || element === frame) return;
    frame = element;
    view = { scale: 1, x: 0, y: 0 };
    pointers.clear();
    const picture = image();
    if (picture.complete && picture.naturalWidth) apply();
    else picture.addEventListener("load", () => { if (picture === image()) apply(); }, { once: true });
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), ...place(event));
    }, { passive: false });
    element.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      moved = 0;
      pointers.set(event.pointerId, place(event));
    });
    element.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = place(event);
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
        const apart = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
        if (apart(before)) zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        moved = 99;
      } else if (view.scale > 1) {
        view.x += now[0] - before[0];
        view.y += now[1] - before[1];
        moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
        clamp();
        apply();
      }
      pointers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) element.addEventListener(name, (event) => pointers.delete(event.pointerId));
    element.addEventListener("dragstart", (event) => { if (view.scale > 1) event.preventDefault(); });
    // A picture is left by a click, not by a drag.
    element.addEventListener("click", (event) => { if (moved > 4) event.preventDefault(); }, true);
  }
  const find = () => take(document.querySelector("[data-zoomed]"));

  function full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else frame?.requestFullscreen?.();
  }
  document.addEventListener("fullscreenchange", () => { if (frame) fit(); });
  addEventListener("resize", () => { if (frame?.isConnected) { clamp(); apply(); } });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (!button || !frame) return;
    ({ fit, one: trueSize, full })[button.dataset.zoom]();
  });

  // ---- what it was made from
  function uncover(percent) {
    const before = frame?.querySelector("[data-before]");
    if (!before) return;
    before.hidden = percent <= 0;
    before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
  }
  const slider = () => document.querySelector("[data-before-slider]");
  document.addEventListener("input", (event) => { if (event.target === slider()) uncover(Number(event.target.value)); });

  document.addEventListener("keydown", (event) => {
    if (!frame?.isConnected || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, button, summary, [contenteditable]")) return;
    const act = {
      "+": () => zoom(1.25, ...middle()),
      "-": () => zoom(0.8, ...middle()),
      0: fit,
      1: trueSize,
      f: full,
      " ": () => { if (!frame.querySelector("[data-before]")) return false; uncover(100); return true; },
    }[event.key];
    if (act && act() !== false) event.preventDefault();
  });
  document.addEventListener("keyup", (event) => { if (event.key === " ") uncover(Number(slider()?.value ?? 0)); });

  document.body.addEventListener("htmx:afterSettle", find);
  find();
})();
