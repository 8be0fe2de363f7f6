// The Generate form's memory: what was typed is kept in the browser. Prompt, model, size and sampling are one for all tabs; the rest is
// each tab's own.
"use strict";
(() => {
  const form = document.getElementById("generate");
  const ownKey = `sdrest.form.${form.dataset.mode}`, commonKey = "sdrest.form";
  const common = new Set(["prompt", "negative_prompt", "model", "width", "height", "steps", "cfg_scale", "sampler", "scheduler", "seed", "batch_count"]);
  // A tab for few models has a model of its own, and with it its own numbers.
  if (form.dataset.ownModel !== undefined) for (const name of common) if (!name.endsWith("prompt")) common.delete(name);
  const keyOf = (name) => common.has(name) ? commonKey : ownKey;
  const isRemembered = (element) => element.name && element.name !== "drawn_for" && element.type !== "file" && element.type !== "hidden" && !/^(lora|save)_/.test(element.name);
  const rows = () => [...form.querySelectorAll(".lora-row")];
  const textOf = (element) => element.type === "checkbox" ? (element.checked ? "on" : "off") : element.value;

  function read(key) {
    try { return JSON.parse(localStorage.getItem(key)) ?? {}; } catch { return {}; /* damaged: forgotten */ }
  }
  function write(key, values) {
    try { localStorage.setItem(key, JSON.stringify(values)); } catch { /* private window: nothing is remembered */ }
  }

  function save() {
    // What this tab does not show, such as the negative prompt of a tab without one, stays as it was.
    const values = { [commonKey]: read(commonKey), [ownKey]: {} };
    for (const element of form.elements) {
      if (!isRemembered(element)) continue;
      const value = textOf(element), kept = values[keyOf(element.name)];
      if (element.dataset.default === undefined || value !== element.dataset.default) kept[element.name] = value;
      else delete kept[element.name];
    }
    values[commonKey][" loras"] = rows().map((row) => [row.querySelector("select").value, row.querySelector("input").value]);
    for (const [key, kept] of Object.entries(values)) write(key, kept);
  }

  // ---- filling
  function choose(select, value) {
    if (![...select.options].some((option) => option.value === value)) {
      // A file that is not offered stays visible, instead of being dropped without a word.
      if (!select.closest("[data-model-file], .lora-row")) return;
      select.add(new Option(_("{name} (does not fit this model)", { name: value }), value));
    }
    select.value = value;
  }
  function reveal(element) {
    for (let fold = element.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  }
  function fill(values) {
    for (const [name, value] of Object.entries(values)) {
      if (name === " loras") { fillLoras(value); continue; }
      for (const element of form.elements) {
        if (element.name !== name || element.type === "hidden" || element.type === "file") continue;
        if (element.type === "checkbox") element.checked = value === "on";
        else if (element.tagName === "SELECT") choose(element, value);
        else element.value = value;
        if (textOf(element) !== element.dataset.default) reveal(element);
      }
    }
  }
  function addLora() {
    const last = rows().at(-1), row = last.cloneNode(true);
    row.querySelector("select").value = "";
    row.querySelector("input").value = "1";
    last.after(row);
    return row;
  }
  function fillLoras(wanted) {
    if (!rows().length) return;
    const chosen = wanted.filter(([name]) => name);
    while (rows().length < chosen.length + 1) addLora();
    rows().forEach((row, index) => {
      const [name, weight] = chosen[index] ?? ["", "1"];
      choose(row.querySelector("select"), name);
      row.querySelector("input").value = weight;
    });
  }
  // Everything as the page would be without a memory.
  function clear() {
    for (const element of form.elements) {
      if (!isRemembered(element) || element.dataset.default === undefined) continue;
      if (element.type === "checkbox") element.checked = element.dataset.default === "on";
      else element.value = element.dataset.default;
    }
    fillLoras([]);
  }
  // All that the form says now, to come back to.
  function snapshot() {
    const values = {};
    for (const element of form.elements) if (isRemembered(element)) values[element.name] = textOf(element);
    values[" loras"] = rows().map((row) => [row.querySelector("select").value, row.querySelector("input").value]);
    return values;
  }

  function restore() {
    if (form.dataset.filled === undefined) fill({ ...read(commonKey), ...read(ownKey) });
    // A preset says how, not what: the prompts that were typed stay.
    else if (new URLSearchParams(location.search).has("preset")) {
      const before = read(commonKey);
      for (const name of ["prompt", "negative_prompt"]) if (before[name] && !form.elements.namedItem(name)?.value) fill({ [name]: before[name] });
    }
  }
  function set(name, value) {
    const element = form.elements.namedItem(name);
    if (!element) return;
    element.value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }
  for (const link of document.querySelectorAll("[data-reset]"))
    link.addEventListener("click", () => { try { localStorage.removeItem(commonKey); localStorage.removeItem(ownKey); } catch { /* nothing to forget */ } });

  window.sdrest.form = { element: form, save, fill, clear, snapshot, restore, set, reveal, addLora };
})();
