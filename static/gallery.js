// Picking two pictures to compare, the slider that lays one over the other, and the place in the gallery to come back to.
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

  const bar = document.getElementById("compare");
  if (bar) {
    const chosen = () => [...document.querySelectorAll("input[name=p]:checked")];
    const show = () => {
      const count = chosen().length;
      bar.classList.toggle("is-active", count > 0);
      bar.querySelector("[data-chosen]").textContent = count === 2 ? "Two pictures chosen." : count === 1 ? "Choose one more picture." : "Choose two pictures to compare them.";
      bar.querySelector("[data-compare]").disabled = count !== 2;
    };
    document.addEventListener("change", (event) => {
      if (event.target.name !== "p") return;
      const all = chosen();
      if (all.length > 2) all.find((box) => box !== event.target).checked = false;
      show();
    });
    document.body.addEventListener("htmx:afterSwap", show);
    show();
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
