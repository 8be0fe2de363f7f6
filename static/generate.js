// The Generate form: remembers what was typed, follows the chosen model's defaults, takes pictures by drop and paste.
"use strict";
(() => {
  const form = document.getElementById("generate");
  const all = (selector, root = form) => [...root.querySelectorAll(selector)];
  const one = (selector) => form.querySelector(selector);
  const key = `sdrest.form.${form.dataset.mode}`;
  const isRemembered = (element) => element.name && element.name !== "drawn_for" && element.type !== "file" && element.type !== "hidden" && !/^(lora|save)_/.test(element.name);

  // ---- memory
  function save() {
    const values = {};
    for (const element of form.elements) {
      if (!isRemembered(element)) continue;
      const value = element.type === "checkbox" ? (element.checked ? "on" : "off") : element.value;
      const initial = element.dataset.default;
      if (initial === undefined || value !== initial) values[element.name] = value;
    }
    values[" loras"] = all(".lora-row").map((row) => [row.querySelector("select").value, row.querySelector("input").value]);
    try { localStorage.setItem(key, JSON.stringify(values)); } catch { /* private window: nothing is remembered */ }
  }
  function fill(values) {
    for (const [name, value] of Object.entries(values)) {
      if (name === " loras") { fillLoras(value); continue; }
      for (const element of form.elements) {
        if (element.name !== name || element.type === "hidden" || element.type === "file") continue;
        if (element.type === "checkbox") element.checked = value === "on";
        else if (element.tagName !== "SELECT" || [...element.options].some((option) => option.value === value)) element.value = value;
        element.closest("details")?.setAttribute("open", "");
      }
    }
  }
  function restore() {
    let values = null;
    try { values = JSON.parse(localStorage.getItem(key)); } catch { /* damaged: forgotten */ }
    if (!values) return;
    const model = one("#f-model");
    const before = model?.value;
    fill(values);
    if (model && model.value !== before) htmx.trigger(model, "change");
  }

  // ---- the model's own defaults
  const note = () => document.getElementById("model-note");
  let defaults = note() ? JSON.parse(note().dataset.defaults) : {};
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "model-note" && event.detail.target?.id !== "model-note") return;
    const fresh = JSON.parse(note().dataset.defaults);
    for (const [name, value] of Object.entries(fresh)) {
      const element = form.elements.namedItem(name);
      if (!element) continue;
      if (element.value === defaults[name]) element.value = value;
      element.dataset.default = value;
    }
    defaults = fresh;
    one("[name=drawn_for]").value = note().dataset.name;
    showRatio();
    save();
  });

  // ---- LoRA rows
  function fillLoras(rows) {
    const box = one("[data-loras]");
    if (!box) return;
    const chosen = rows.filter(([name]) => name);
    while (all(".lora-row").length < chosen.length + 1) addLora();
    all(".lora-row").forEach((row, index) => {
      const [name, weight] = chosen[index] ?? ["", "1"];
      row.querySelector("select").value = name;
      row.querySelector("input").value = weight;
    });
    showWords();
  }
  function addLora() {
    const rows = all(".lora-row");
    const row = rows.at(-1).cloneNode(true);
    row.querySelector("select").value = "";
    row.querySelector("input").value = "1";
    rows.at(-1).after(row);
    return row;
  }
  function showWords() {
    const shown = one("[data-words-shown]");
    if (!shown) return;
    const words = all(".lora-row option:checked").map((option) => option.dataset.words).filter(Boolean);
    shown.hidden = !words.length;
    shown.textContent = words.length ? `Trigger words: ${words.join("; ")}` : "";
  }
  one("[data-add-lora]")?.addEventListener("click", () => addLora().querySelector("select").focus());

  // ---- size, seed, templates
  const number = (name) => Number(form.elements.namedItem(name)?.value) || 0;
  function set(name, value) {
    const element = form.elements.namedItem(name);
    if (!element) return;
    element.value = value;
    element.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function showRatio() {
    for (const chip of all("[data-ratio]")) {
      const [w, h] = chip.dataset.ratio.split(":").map(Number);
      chip.setAttribute("aria-pressed", String(Math.abs(number("width") / number("height") / (w / h) - 1) < 0.04));
    }
  }
  form.addEventListener("click", (event) => {
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
    if (event.target.closest("[data-seed-random]")) set("seed", -1);
    if (event.target.closest("[data-seed-last]")) {
      const seed = document.querySelector("#stage [data-seed]")?.dataset.seed;
      if (seed !== undefined) set("seed", seed);
    }
  });
  form.addEventListener("change", (event) => {
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
    showWords();
    save();
  });
  one("[data-reset]").addEventListener("click", () => { try { localStorage.removeItem(key); } catch { /* nothing to forget */ } });

  // ---- prompt length
  const tokens = one("[data-tokens]");
  function countTokens() {
    if (!tokens) return;
    const text = form.elements.prompt.value;
    // A rough measure: words of CLIP-like vocabularies are about five letters long, signs stand alone.
    const parts = text.match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
    const count = parts.reduce((sum, part) => sum + Math.ceil(part.length / 7), 0);
    tokens.textContent = count ? `about ${count} tokens` : "";
  }
  form.addEventListener("input", () => { countTokens(); showRatio(); save(); });

  // ---- errors
  function markErrors() {
    for (const line of all(".field-error[id]")) {
      const element = document.getElementById(line.id.replace(/-error$/, ""));
      if (!element) continue;
      if (line.hidden || !line.textContent) element.removeAttribute("aria-invalid");
      else {
        element.setAttribute("aria-invalid", "true");
        element.closest("details")?.setAttribute("open", "");
      }
    }
  }
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt !== form) return;
    for (const line of all(".field-error[id]")) { line.hidden = true; line.textContent = ""; }
    document.getElementById("form-errors").replaceChildren();
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== form) return;
    markErrors();
    if (event.detail.failed) (one("[aria-invalid=true]") ?? document.getElementById("form-errors")).scrollIntoView({ block: "center", behavior: "smooth" });
    else if (matchMedia("(max-width: 900px)").matches) document.getElementById("stage").scrollIntoView({ behavior: "smooth" });
    one("[aria-invalid=true]")?.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });

  // ---- pictures
  function show(box, files) {
    const shown = box.querySelector("[data-shown]");
    shown.replaceChildren(...[...files].map((file) => {
      const image = new Image();
      image.alt = file.name;
      image.src = URL.createObjectURL(file);
      image.onload = () => URL.revokeObjectURL(image.src);
      return image;
    }));
    box.querySelector("[type=hidden]").value = "";
    box.querySelector("[data-clear]").hidden = !files.length;
    box.dispatchEvent(new CustomEvent("sdrest-picture", { bubbles: true, detail: { file: files[0] ?? null } }));
  }
  function give(box, files) {
    const input = box.querySelector("[type=file]");
    const data = new DataTransfer();
    for (const file of input.multiple ? files : files.slice(0, 1)) data.items.add(file);
    input.files = data.files;
    show(box, input.files);
  }
  const picturesOf = (data) => [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  for (const box of all("[data-drop]")) {
    box.querySelector("[type=file]").addEventListener("change", (event) => show(box, event.target.files));
    box.querySelector("[data-clear]").addEventListener("click", () => give(box, []));
    box.addEventListener("dragover", (event) => { event.preventDefault(); event.stopPropagation(); box.classList.add("is-over"); });
    box.addEventListener("dragleave", () => box.classList.remove("is-over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      box.classList.remove("is-over");
      const files = picturesOf(event.dataTransfer);
      if (files.length) give(box, files);
    });
  }
  document.addEventListener("paste", (event) => {
    const files = picturesOf(event.clipboardData);
    const box = one("[data-drop]");
    if (files.length && box) { event.preventDefault(); give(box, files); }
  });

  // The result has the shape of the picture that it starts from, at about the model's own number of pixels.
  function takeShape(url) {
    const image = new Image();
    image.onload = () => {
      const multiple = Number(note()?.dataset.multiple) || 8;
      const usual = (Number(defaults.width) || 512) * (Number(defaults.height) || 512);
      const scale = Math.min(1, Math.sqrt(usual * 1.5 / (image.naturalWidth * image.naturalHeight)));
      const round = (value) => Math.max(multiple, Math.round(value * scale / multiple) * multiple);
      set("width", round(image.naturalWidth));
      set("height", round(image.naturalHeight));
    };
    image.src = url;
  }
  const shaping = one('[data-field="init_image"], [data-field="control_image"]');
  shaping?.addEventListener("sdrest-picture", (event) => { if (event.detail.file) takeShape(URL.createObjectURL(event.detail.file)); });
  const referred = shaping?.querySelector("[type=hidden]").dataset.url;

  // ---- restoring parameters from a picture dropped anywhere else
  async function infotextOf(file) {
    const bytes = new DataView(await file.arrayBuffer());
    if (bytes.byteLength < 8 || bytes.getUint32(0) !== 0x89504e47) return "";
    const latin = new TextDecoder("latin1"), utf8 = new TextDecoder();
    for (let at = 8; at + 12 <= bytes.byteLength;) {
      const length = bytes.getUint32(at);
      const type = latin.decode(new Uint8Array(bytes.buffer, at + 4, 4));
      if (at + 12 + length > bytes.byteLength || type === "IEND") break;
      if (type === "tEXt" || type === "iTXt") {
        const data = new Uint8Array(bytes.buffer, at + 8, length);
        const end = data.indexOf(0);
        if (latin.decode(data.subarray(0, end)) === "parameters") {
          if (type === "tEXt") return latin.decode(data.subarray(end + 1));
          if (data[end + 1] === 0) {
            const language = data.indexOf(0, end + 3);
            return utf8.decode(data.subarray(data.indexOf(0, language + 1) + 1));
          }
        }
      }
      at += 12 + length;
    }
    return "";
  }
  async function restoreFrom(file) {
    const text = await infotextOf(file);
    if (!text) { window.sdrest.announce("This picture holds no parameters.", true); return; }
    const reply = await fetch("/ui/parameters", { method: "POST", body: text });
    if (!reply.ok) { window.sdrest.announce("The parameters of this picture could not be read.", true); return; }
    fill(await reply.json());
    if (one("#f-model")) htmx.trigger(one("#f-model"), "change");
    countTokens();
    showRatio();
    save();
  }
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("is-restoring"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("is-restoring"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("is-restoring");
    const [file] = picturesOf(event.dataTransfer);
    if (file) restoreFrom(file);
  });

  // A preset says how, not what: the prompts that were typed stay.
  function restorePrompts() {
    let values = {};
    try { values = JSON.parse(localStorage.getItem(key)) ?? {}; } catch { /* damaged: forgotten */ }
    for (const name of ["prompt", "negative_prompt"]) {
      const element = form.elements.namedItem(name);
      if (element && !element.value && values[name]) element.value = values[name];
    }
  }
  if (form.dataset.filled === undefined) restore();
  else {
    if (new URLSearchParams(location.search).has("preset")) restorePrompts();
    save();
  }
  if (referred) takeShape(referred);
  countTokens();
  showRatio();
  showWords();
})();
