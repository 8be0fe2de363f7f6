// Keeps every page live: one event stream; progress is written in place, everything else asks the server for fresh HTML.
"use strict";
(() => {
  // Where a path of this server is: it may lie below another one, as its own files show.
  const base = new URL(document.currentScript.src).pathname.split("/ui/static/")[0];
  const at = (path) => base + path;

  const body = document.body;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times, which the server tells in UTC, become the reader's own, as the page's language writes them.
  const language = document.documentElement.lang;
  const locale = navigator.languages.find((item) => item.startsWith(language)) ?? language;
  function localise(root) {
    for (const time of all("time[datetime]", root)) {
      const text = new Date(time.dateTime).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
      if (time.title) time.title = text;
      else time.textContent = text;
    }
  }
  localise(document);
  body.addEventListener("htmx:load", (event) => localise(event.detail.elt));

  // ---- the stream
  const lost = document.querySelector("[data-live]");
  let source = null;
  const tell = (name, detail) => body.dispatchEvent(new CustomEvent(name, { bubbles: false, detail }));
  // States of jobs that the stream told of. A card that was fetched just before and put in just after is stale: it is fetched again.
  const states = new Map();
  body.addEventListener("htmx:afterSettle", () => {
    for (const card of all("[data-job]"))
      if (states.has(card.dataset.job) && states.get(card.dataset.job) !== card.dataset.state) tell(`sdrest-job-${card.dataset.job}`);
  });
  const cards = (id) => all(`[data-job="${CSS.escape(id)}"]`);

  function open() {
    if (source || body.matches(".login-page, .quiet-page")) return;
    source = new EventSource(at("/ui/events"));
    let opened = false;
    source.addEventListener("hello", () => {
      lost.hidden = true;
      heard(null);
      // What happened while there was no stream is fetched, not guessed: at first only what may have changed since the page was made.
      if (opened || document.documentElement.dataset.slept) refresh();
      else for (const card of all('[data-job]:is([data-state="pending"], [data-state="running"])')) tell(`sdrest-job-${card.dataset.job}`);
      opened = true;
    });
    source.onerror = () => { lost.hidden = false; };
    source.addEventListener("progress", (event) => {
      const data = heard(event);
      tell("sdrest-progress", data);
      for (const card of cards(data.job)) {
        const bar = card.querySelector("[data-progress]");
        if (!bar) { tell(`sdrest-job-${data.job}`); continue; }
        bar.value = data.percent;
        card.querySelector("[data-percent]").textContent = `${Math.round(data.percent)} %`;
        const text = card.querySelector("[data-progress-text]");
        if (!card.querySelector("[data-cancel]")?.disabled) text.textContent = data.text;
      }
    });
    source.addEventListener("preview", (event) => {
      const data = heard(event);
      tell("sdrest-preview", data);
      for (const card of cards(data.job)) {
        const image = card.querySelector("[data-preview]");
        if (!image) continue;
        image.src = data.image;
        image.hidden = false;
      }
    });
    source.addEventListener("output", (event) => {
      const data = heard(event);
      for (const card of cards(data.job)) {
        const made = card.querySelector("[data-made]");
        if (!made || !data.type.startsWith("image/")) continue;
        const image = new Image();
        image.src = data.url;
        image.alt = _("Finished picture of this job");
        made.append(image);
        made.hidden = false;
      }
    });
    source.addEventListener("job", (event) => {
      const data = heard(event);
      tell("sdrest-job", data);
      states.set(data.job, data.state);
      tell(`sdrest-job-${data.job}`);
      tell("sdrest-jobs");
      if (["completed", "failed", "cancelled"].includes(data.state)) tell("sdrest-finished");
      if (cards(data.job).length && data.text && data.state !== "running") announce(data.text);
      rest();
    });
    source.addEventListener("model", () => { heard(null); tell("sdrest-models"); });
    source.addEventListener("beat", () => heard(null));
  }

  // A network that is cut says nothing: the server's heartbeat does, by staying away.
  const silenceMs = 40_000;
  let silence = 0;
  function heard(event) {
    clearTimeout(silence);
    silence = setTimeout(() => {
      if (!source) return;
      lost.hidden = false;
      close();
      open();
    }, silenceMs);
    return event && JSON.parse(event.data);
  }
  function close() {
    clearTimeout(silence);
    source?.close();
    source = null;
  }

  function refresh() {
    tell("sdrest-jobs");
    tell("sdrest-finished");
    tell("sdrest-models");
    for (const card of all("[data-job]")) tell(`sdrest-job-${card.dataset.job}`);
  }

  // A browser allows few connections to one server: hidden pages give theirs back, unless they wait for a job to tell of its end.
  const isAwaited = () => all('[data-job]:is([data-state="pending"], [data-state="running"]), [data-pill]:not([hidden])').length > 0;
  function rest() {
    if (!document.hidden || isAwaited()) return;
    document.documentElement.dataset.slept = "yes";
    close();
  }
  document.addEventListener("visibilitychange", () => { if (document.hidden) rest(); else open(); });
  body.addEventListener("htmx:afterSettle", rest);
  if (!document.hidden) open();

  // ---- notices
  const notices = document.getElementById("notices");
  // Errors and what offers an action are seen; the rest is for screen readers, since the page shows it too.
  function announce(text, isError = false, action = null) {
    const note = document.createElement("div");
    note.className = isError ? "notice notice-error" : action ? "notice" : "visually-hidden";
    note.textContent = text;
    if (action) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = action.label;
      button.addEventListener("click", () => { note.remove(); action.run(); });
      note.append(" ", button);
    }
    notices.append(note);
    setTimeout(() => note.remove(), action ? 15_000 : isError ? 8000 : 3000);
  }
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes)
      if (node.classList?.contains("notice") && !node.querySelector("button")) setTimeout(() => node.remove(), 8000);
  }).observe(notices, { childList: true });
  body.addEventListener("htmx:sendError", () => announce(_("The server does not answer."), true));
  window.sdrest = { announce, at };

  // ---- keyboard
  const shortcuts = document.getElementById("shortcuts");
  document.querySelector("[data-shortcuts]")?.addEventListener("click", () => shortcuts.showModal());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.isComposing) return;
    // In a field Escape belongs to the field, its suggestions or the input method; elsewhere it cancels.
    if (event.key === "Escape" && !typing && !document.querySelector("dialog[open]")) {
      const button = document.querySelector("#stage [data-cancel]:not(:disabled)");
      if (button) { event.preventDefault(); button.click(); }
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") { event.preventDefault(); shortcuts.showModal(); }
    if (event.key === "/") {
      const target = document.querySelector("[data-search], #f-prompt");
      if (target) { event.preventDefault(); target.focus(); }
    }
    if (event.key === "ArrowLeft") document.querySelector("[data-previous]")?.click();
    if (event.key === "ArrowRight") document.querySelector("[data-next]")?.click();
    if (event.key === "p") document.querySelector("[data-came-from]")?.click();
    if (event.key === "c") document.querySelector("[data-came-of]")?.click();
  });

  // ---- copying
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const text = button.dataset.copy || document.getElementById(button.dataset.copyFrom)?.textContent || "";
    try { await navigator.clipboard.writeText(text); } catch {
      const area = document.createElement("textarea");
      area.value = text;
      body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const said = button.querySelector("[data-said]");
    if (said) { const before = said.textContent; said.textContent = _("Copied"); setTimeout(() => { said.textContent = before; }, 1500); }
  });
})();
