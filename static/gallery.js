// The place in the gallery to come back to, the size of its pictures, and the slider that lays one of two pictures over the other.
"use strict";
(() => {
  // What was scrolled through is kept while a picture is looked at: pages are not to be cached, so the browser itself forgets them.
  const key = "sdrest.gallery", most = 2_000_000;
  const tiles = document.getElementById("tiles");
  const read = () => { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } };
  const write = (value) => { try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* no room: the place is lost */ } };
  if (tiles) {
    const kept = read();
    const isBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward" || kept?.isWanted;
    if (isBack && kept.address === location.href) {
      history.scrollRestoration = "manual";
      tiles.innerHTML = kept.html;
      htmx.process(tiles);
      scrollTo(0, kept.top);
      // Deleted meanwhile.
      tiles.addEventListener("error", (event) => event.target.closest(".gallery-item")?.remove(), true);
    }
    addEventListener("pagehide", () => {
      const html = tiles.innerHTML;
      if (html.length < most) write({ address: location.href, html, top: scrollY });
    });
  }
  document.querySelector("[data-to-gallery]")?.addEventListener("click", (event) => {
    const kept = read();
    if (kept?.address === event.currentTarget.href) write({ ...kept, isWanted: true });
  });

  const size = document.querySelector("[data-tile-size]");
  if (size) {
    const show = () => document.documentElement.style.setProperty("--row", `${size.value}px`);
    if (innerWidth < 720) size.value = 110;
    try { size.value = localStorage.getItem("sdrest.tiles") ?? size.value; } catch { /* no storage: the usual size */ }
    show();
    size.addEventListener("input", () => { show(); try { localStorage.setItem("sdrest.tiles", size.value); } catch { /* as above */ } });
  }

  const overlay = document.querySelector("[data-overlay]");
  if (overlay) {
    overlay.hidden = false;
    const over = overlay.querySelector("[data-over]");
    const slider = overlay.querySelector("[data-slider]");
    const draw = () => { over.style.clipPath = `inset(0 0 0 ${slider.value}%)`; };
    slider.addEventListener("input", draw);
    draw();
  }
})();
