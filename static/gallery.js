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
      const newer = document.getElementById("newer");
      if (newer && kept.ended) { newer.dataset.url = kept.ended; follow(); }
      htmx.process(tiles);
      scrollTo(0, kept.top);
      // Deleted meanwhile.
      tiles.addEventListener("error", (event) => event.target.closest(".gallery-item")?.remove(), true);
    }
    addEventListener("pagehide", () => {
      const html = tiles.innerHTML;
      if (html.length < most) write({ address: location.href, html, top: scrollY, ended: document.getElementById("newer")?.dataset.url });
    });
  }
  document.querySelector("[data-to-gallery]")?.addEventListener("click", (event) => {
    const kept = read();
    if (kept?.address === event.currentTarget.href) write({ ...kept, isWanted: true });
  });

  // Jobs do not end in the order in which they were submitted, which is that of the pictures: each comes to its own place.
  function put(list, item, isOldest) {
    const id = (of) => of.querySelector("input[name=p]").value, place = Number(item.dataset.sequence);
    const items = [...list.querySelectorAll(".gallery-item")];
    if (items.some((other) => id(other) === id(item))) return;
    const next = items.find((other) => isOldest ? Number(other.dataset.sequence) > place : Number(other.dataset.sequence) < place);
    if (next) next.before(item);
    else if (!list.querySelector(".more")) list.append(item); // else it comes with what is further down
  }
  let wait = 0;
  async function follow() {
    const newer = document.getElementById("newer"), list = document.getElementById("tiles");
    if (!newer) return;
    const reply = await fetch(newer.dataset.url, { headers: { "HX-Request": "true" } });
    if (!reply.ok || !newer.isConnected) return;
    const found = new DOMParser().parseFromString(await reply.text(), "text/html"), told = found.getElementById("newer");
    const items = [...found.querySelectorAll(".gallery-item")];
    if (told.dataset.more !== undefined || (items.length && !list)) {
      htmx.ajax("GET", location.pathname + location.search, { target: "#gallery", swap: "outerHTML" });
      return;
    }
    newer.dataset.url = told.dataset.url;
    for (const item of items) put(list, item, newer.dataset.oldest !== undefined);
  }
  document.body.addEventListener("sdrest-finished", () => {
    clearTimeout(wait);
    wait = setTimeout(follow, 300);
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
