// The strip of jobs and the stage: a click puts a job on the stage; else the stage follows the running one.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  const film = () => document.getElementById("film");
  const shown = () => stage.querySelector("[data-job]");
  // Whether the user put something on the stage that is to stay there.
  let isChosen = false;

  function mark() {
    for (const item of film().querySelectorAll("[data-film]")) {
      if (item.dataset.film === shown()?.dataset.job) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    }
  }
  function load(id) {
    htmx.ajax("GET", window.sdrest.at(`/ui/jobs/${id}`), { target: stage, swap: "innerHTML" });
  }
  // A short job is over before the strip is drawn with it running, and the stage may not know yet that its own job is over.
  const states = new Map();
  const isRunning = (element, id) => (states.get(id) ?? element.dataset.state) === "running";
  function follow() {
    const running = [...film().querySelectorAll("[data-film]")].find((item) => isRunning(item, item.dataset.film));
    const card = shown();
    if (!isChosen && running && card?.dataset.job !== running.dataset.film && !(card && isRunning(card, card.dataset.job))) load(running.dataset.film);
  }
  document.body.addEventListener("sdrest-job", (event) => {
    states.set(event.detail.job, event.detail.state);
    if (event.detail.state === "running") follow();
  });
  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-film]");
    if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    isChosen = item.dataset.state !== "running";
    load(item.dataset.film);
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, .side, [popover]")) return;
    const items = [...film().querySelectorAll("[data-film]")];
    const next = items[items.findIndex((item) => item.dataset.film === shown()?.dataset.job) + step];
    if (next) { event.preventDefault(); next.click(); next.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt.id === "generate") isChosen = false; });
  document.body.addEventListener("htmx:afterSettle", () => { mark(); follow(); });
  document.body.addEventListener("sdrest-progress", (event) => {
    const { job, percent } = event.detail;
    film().querySelector(`[data-film="${CSS.escape(job)}"] [data-ring]`)?.setAttribute("stroke-dasharray", `${percent} 100`);
  });
  document.body.addEventListener("sdrest-preview", (event) => {
    const image = film().querySelector(`[data-film="${CSS.escape(event.detail.job)}"] [data-film-preview]`);
    if (image) { image.src = event.detail.image; image.hidden = false; }
  });
  mark();
})();
