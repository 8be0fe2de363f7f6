// Choosing pictures: one by one, a range with Shift, a rectangle with the mouse; and what follows what was done with them.
"use strict";
(() => {
  const form = document.getElementById("selection");
  if (!form) return;
  const boxes = () => [...document.querySelectorAll("input[type=checkbox][name=p]")];
  const chosen = () => boxes().filter((box) => box.checked);
  const item = (box) => box.closest(".gallery-item");

  const said = form.querySelector("[data-chosen]"), compare = form.querySelector("[data-compare]");
  function show() {
    const count = chosen().length;
    if (said) said.textContent = _("Chosen: {count}", { count });
    if (compare) compare.disabled = count !== 2;
  }
  function choose(some, isChosen = true) {
    for (const box of some) box.checked = isChosen;
    show();
  }

  // ---- a range: from the box that was clicked last
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target.closest("input[name=p]") ?? (event.shiftKey ? event.target.closest(".gallery-item")?.querySelector("input[name=p]") : null);
    if (box) {
      const all = boxes();
      if (event.target !== box) { event.preventDefault(); box.checked = !box.checked; }
      if (event.shiftKey && all.includes(last)) {
        const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
        choose(all.slice(from, to + 1), box.checked);
      }
      last = box;
      show();
    }
    const wish = event.target.closest("[data-choose]")?.dataset.choose;
    if (wish) choose(boxes(), wish === "all");
  });
  document.addEventListener("change", (event) => { if (event.target.name === "p") show(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen().length && !document.querySelector("dialog[open]")) choose(boxes(), false);
  });
  document.body.addEventListener("htmx:afterSettle", show);
  show();

  // ---- a rectangle, from a place between the pictures
  const main = document.getElementById("main");
  main.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0 || !event.target.matches("#main, #gallery, #tiles, .gallery-item")) return;
    const kept = new Set(event.ctrlKey || event.metaKey || event.shiftKey ? chosen() : []);
    const start = { x: event.pageX, y: event.pageY };
    let frame = null;
    const move = (now) => {
      const left = Math.min(start.x, now.pageX), top = Math.min(start.y, now.pageY);
      const width = Math.abs(now.pageX - start.x), height = Math.abs(now.pageY - start.y);
      if (!frame && width + height < 8) return;
      if (!frame) { frame = document.createElement("div"); frame.className = "lasso"; document.body.append(frame); }
      Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
      for (const box of boxes()) {
        const place = item(box).getBoundingClientRect(), x = place.left + scrollX, y = place.top + scrollY;
        box.checked = kept.has(box) || (x < left + width && x + place.width > left && y < top + height && y + place.height > top);
      }
      show();
    };
    const end = () => {
      removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) removeEventListener(name, end);
      frame?.remove();
      document.body.classList.remove("is-drawing");
    };
    document.body.classList.add("is-drawing"); // so that no text is selected meanwhile
    addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, end);
  });

  // ---- what was done
  const { announce } = window.sdrest;
  async function restore(files) {
    const body = new URLSearchParams([["do", "restore"], ...files.map((file) => ["p", file])]);
    const reply = await fetch(window.sdrest.at("/ui/gallery/selection"), { method: "POST", body, headers: { "HX-Request": "true" } });
    if (!reply.ok) { announce(_("They cannot be put back."), true); return; }
    htmx.ajax("GET", location.pathname + location.search, { target: "#gallery", swap: "outerHTML" });
  }
  document.body.addEventListener("sdrest-done", (event) => {
    const { do: done, text } = event.detail, some = chosen(), files = some.map((box) => box.value);
    if (done === "empty") { location.reload(); return; }
    if (done === "delete") for (const box of some) item(box).remove();
    if (done.endsWith("favourite")) for (const box of some) item(box).querySelector("[data-star]").hidden = done !== "favourite";
    choose(some, false);
    announce(text, false, { label: done === "delete" ? _("Undo") : _("OK"), run: done === "delete" ? () => restore(files) : () => {} });
    if (!boxes().length) htmx.ajax("GET", location.pathname + location.search, { target: "#gallery", swap: "outerHTML" });
  });

  // ---- a dragged picture is used where it is dropped
  const tray = document.querySelector("[data-tray]");
  if (!tray) return;
  document.addEventListener("dragstart", (event) => {
    const file = event.target.closest?.("[data-file]")?.dataset.file;
    if (!file) return;
    tray.dataset.dragged = file;
    setTimeout(() => { tray.hidden = false; }); // a page that changes at once ends the dragging
  });
  document.addEventListener("dragend", () => { tray.hidden = true; });
  tray.addEventListener("dragover", (event) => { if (event.target.closest("a")) event.preventDefault(); });
  tray.addEventListener("drop", (event) => {
    const target = event.target.closest("a");
    if (!target) return;
    event.preventDefault();
    location.href = `${target.href}?from=${encodeURIComponent(tray.dataset.dragged)}`;
  });
})();
