// The Generate form: follows the chosen model, its controls move each other, mistakes are shown beside their fields, and keys send it.
"use strict";
(() => {
  const { element: form, save, set, reveal, restore, addLora } = window.sdrest.form;
  const bench = document.querySelector("[data-workbench]");
  const all = (selector, root = bench) => [...root.querySelectorAll(selector)];
  const one = (selector) => bench.querySelector(selector);

  // ---- the model's own defaults
  const note = () => document.getElementById("model-note");
  let defaults = note() ? JSON.parse(note().dataset.defaults) : {};
  function followModel() {
    const fresh = JSON.parse(note().dataset.defaults);
    for (const [name, value] of Object.entries(fresh)) {
      const element = form.elements.namedItem(name);
      if (!element) continue;
      if (element.value === defaults[name]) element.value = value;
      element.dataset.default = value;
    }
    defaults = fresh;
    form.elements.namedItem("drawn_for").value = note().dataset.name;
    showAll();
    save();
  }
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id === "model-note" || event.detail.target?.id === "model-note") followModel();
  });

  // ---- what follows from the fields
  const number = (name) => Number(form.elements.namedItem(name)?.value) || 0;
  function showRatio() {
    for (const chip of all("[data-ratio]")) {
      const [w, h] = chip.dataset.ratio.split(":").map(Number);
      chip.setAttribute("aria-pressed", String(Math.abs(number("width") / number("height") / (w / h) - 1) < 0.04));
    }
  }
  function showTwins() {
    for (const slider of all("[data-twin]")) slider.value = document.getElementById(slider.dataset.twin).value;
  }
  function showWords() {
    const shown = one("[data-words-shown]");
    if (!shown) return;
    const words = all(".lora-row option:checked").map((option) => option.dataset.words).filter(Boolean);
    shown.hidden = !words.length;
    shown.textContent = words.length ? _("Trigger words: {words}", { words: words.join("; ") }) : "";
  }
  function countTokens() {
    const shown = one("[data-tokens]");
    if (!shown) return;
    // A rough measure: words of CLIP-like vocabularies are about five letters long, signs stand alone.
    const parts = form.elements.prompt.value.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
    const count = parts.reduce((sum, part) => sum + Math.ceil(part.length / 7), 0);
    shown.textContent = count ? _("about {count} tokens", { count }) : "";
  }
  function showGroups() {
    for (const group of all("[data-needs]")) group.hidden = document.getElementById(group.dataset.needs).hidden;
  }
  function showAll() { showGroups(); showRatio(); showTwins(); showWords(); countTokens(); }

  bench.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-ratio]");
    if (chip) {
      const [w, h] = chip.dataset.ratio.split(":").map(Number);
      const multiple = Number(note()?.dataset.multiple) || 8;
      const pixels = (Number(defaults.width) || 512) * (Number(defaults.height) || 512);
      const round = (value) => Math.max(multiple, Math.round(value / multiple) * multiple);
      set("width", round(Math.sqrt(pixels * w / h)));
      set("height", round(Math.sqrt(pixels * h / w)));
    }
    if (event.target.closest("[data-swap]")) {
      const width = form.elements.width.value;
      set("width", form.elements.height.value);
      set("height", width);
    }
    if (event.target.closest("[data-add-lora]")) addLora().querySelector("select").focus();
    if (event.target.closest("[data-seed-random]")) set("seed", -1);
    if (event.target.closest("[data-seed-last]")) {
      const seed = document.querySelector("#stage [data-seed]")?.dataset.seed;
      if (seed !== undefined) set("seed", seed);
    }
  });
  bench.addEventListener("change", (event) => {
    const insert = event.target.closest("[data-insert]");
    if (insert?.value) {
      const area = form.elements.namedItem(insert.dataset.insert);
      const typed = area.value.trim();
      if (insert.value.includes("{prompt}")) area.value = insert.value.replaceAll("{prompt}", () => typed);
      else area.value = typed ? `${typed}, ${insert.value}` : insert.value;
      insert.value = "";
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const preset = event.target.closest("[data-preset]");
    if (preset?.value) location.search = `?preset=${encodeURIComponent(preset.value)}`;
    if (event.target.form === form) { mend(event.target); showAll(); save(); }
  });
  bench.addEventListener("input", (event) => {
    const twin = event.target.dataset.twin && document.getElementById(event.target.dataset.twin);
    if (twin) { twin.value = event.target.value; mend(twin); }
    else if (event.target.matches("[data-find]")) { find(event.target.value); return; }
    else if (event.target.form === form) mend(event.target);
    showAll();
    save();
  });

  // ---- a setting among all
  function find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of all("[data-group]")) {
      let shown = 0;
      for (const field of all(".field", group)) {
        const fits = words.every((word) => field.textContent.toLowerCase().includes(word) || field.querySelector("[name]")?.name.includes(word));
        field.classList.toggle("is-unsought", !fits);
        shown += fits && !field.hidden;
      }
      group.hidden = !shown || Boolean(group.dataset.needs && document.getElementById(group.dataset.needs).hidden);
      if (words.length && shown) group.open = true;
    }
  }

  // ---- mistakes
  const lineOf = (element) => document.getElementById(`${element.id}-error`);
  function mend(element) {
    const line = element.id && lineOf(element);
    if (!line || line.hidden) return;
    line.hidden = true;
    line.textContent = "";
    element.removeAttribute("aria-invalid");
  }
  form.addEventListener("sdrest-picture", (event) => mend(event.target.querySelector("[type=file]")));
  function forgetErrors() {
    for (const line of all(".field-error[id]")) {
      const element = document.getElementById(line.id.replace(/-error$/, ""));
      line.hidden = true;
      line.textContent = "";
      element?.removeAttribute("aria-invalid");
    }
    document.getElementById("form-errors").replaceChildren();
  }
  function showErrors() {
    let first = null;
    for (const line of all(".field-error[id]")) {
      const element = document.getElementById(line.id.replace(/-error$/, ""));
      if (!element || line.hidden || !line.textContent) continue;
      element.setAttribute("aria-invalid", "true");
      reveal(element);
      first ??= element;
    }
    const place = first ?? document.getElementById("form-errors");
    const sheet = place.closest("[popover]");
    if (sheet && !sheet.checkVisibility()) sheet.showPopover();
    place.scrollIntoView({ block: "center" });
    first?.focus({ preventScroll: true });
  }
  const submit = document.getElementById("submit");
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt !== form) return;
    forgetErrors();
    submit.classList.add("is-sending");
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== form) return;
    submit.classList.remove("is-sending");
    const sheet = document.getElementById("settings");
    if (event.detail.failed) showErrors();
    else {
      if (sheet?.matches(":popover-open")) sheet.hidePopover();
      // On a narrow window the result may be out of sight; its place is as large as it will be.
      if (matchMedia("(max-width: 900px)").matches) document.getElementById("stage").scrollIntoView({ block: "nearest" });
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(submit); }
  });

  const model = document.getElementById("f-model"), modelBefore = model?.value;
  restore();
  // The lists are those of the model that the page was drawn with.
  if (model && model.value !== modelBefore) htmx.trigger(model, "change");
  showAll();
  save();
})();
