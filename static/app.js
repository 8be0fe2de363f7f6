// The app around the pages: light or dark without a new page, and the worker that shows a page when the server is out of reach.
"use strict";
(() => {
  const form = document.querySelector("[data-theme-form]");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button"), root = document.documentElement, now = button.value;
    root.dataset.theme = now;
    const order = ["auto", "light", "dark"], names = form.dataset.names.split("|");
    button.value = order[(order.indexOf(now) + 1) % 3];
    button.title = names[order.indexOf(now)];
    button.setAttribute("aria-label", button.title);
    await fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: now }), headers: { "HX-Request": "true" } });
  });
  const manifest = document.querySelector("link[rel=manifest]")?.href;
  if (manifest) navigator.serviceWorker?.register(new URL("../../service_worker.js", manifest)).catch(() => { /* not over plain HTTP */ });
})();
