// Completing names in prompts: LoRAs, their trigger words, embeddings, and wildcards where prompts are drawn.
"use strict";
(() => {
  const MOST = 8;
  const box = document.createElement("ul");
  Object.assign(box, { id: "completions", className: "completions", hidden: true });
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", _("Names"));
  let area = null, items = [], chosen = 0, start = 0, wildcards = null;

  const texts = (selector, of = (option) => option.value || option.textContent) =>
    [...document.querySelectorAll(selector)].map(of).filter(Boolean);
  async function drawn() {
    if (!document.getElementById("f-dynamic_prompts")?.checked) return [];
    wildcards ??= fetch(window.sdrest.at("/api/wildcards")).then((reply) => reply.ok ? reply.json() : {}).then((said) => said.wildcards ?? [], () => []);
    return wildcards;
  }
  // Everything that can be meant, as what is shown, what is typed of it, and what is put there.
  async function offers() {
    const loras = texts(".lora-row:first-of-type select option[value]:not([value=''])");
    const words = texts(".lora-row:first-of-type select option[data-words]", (option) => option.dataset.words)
      .flatMap((list) => list.split(",")).map((word) => word.trim()).filter(Boolean);
    const embeddings = texts("[data-embeddings] option:not([value=''])");
    return [
      ...loras.map((name) => ({ kind: "LoRA", name, text: `<lora:${name}:1>`, starts: [`<lora:${name}`, name] })),
      ...embeddings.map((name) => ({ kind: _("Embedding"), name, text: name, starts: [name] })),
      ...words.map((name) => ({ kind: _("Trigger word"), name, text: name, starts: [name] })),
      ...(await drawn()).map((name) => ({ kind: _("Wildcard"), name, text: `__${name}__`, starts: [`__${name}`] })),
    ];
  }

  function hide() {
    box.hidden = true;
    items = [];
    for (const name of ["aria-activedescendant", "aria-controls"]) area?.removeAttribute(name);
  }
  function show() {
    box.replaceChildren(...items.map((item, index) => {
      const row = document.createElement("li"), kind = document.createElement("span");
      row.id = `completion-${index}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(index === chosen));
      kind.className = "muted small-text";
      kind.textContent = item.kind;
      row.append(item.name, " ", kind);
      row.addEventListener("mousedown", (event) => { event.preventDefault(); chosen = index; put(); });
      return row;
    }));
    area.parentElement.append(box);
    box.hidden = false;
    area.setAttribute("aria-controls", box.id);
    area.setAttribute("aria-activedescendant", `completion-${chosen}`);
  }
  function put() {
    const text = items[chosen].text, end = area.selectionStart;
    area.setRangeText(text, start, end, "end");
    hide();
    area.dispatchEvent(new Event("input", { bubbles: true }));
    hide();
  }
  async function look(target) {
    const before = target.value.slice(0, target.selectionStart);
    const typed = /(<lora:[^<>:]*|__[\w/. -]*|[\p{L}\p{N}_.-]{2,})$/u.exec(before)?.[0].toLowerCase();
    if (!typed || target.selectionStart !== target.selectionEnd) return hide();
    const found = (await offers()).filter((item) => item.starts.some((name) => name.toLowerCase().startsWith(typed) && name.toLowerCase() !== typed));
    if (document.activeElement !== target || target.value.slice(0, target.selectionStart) !== before) return;
    if (!found.length) return hide();
    [area, items, chosen, start] = [target, found.slice(0, MOST), 0, before.length - typed.length];
    show();
  }

  for (const target of [document.getElementById("f-prompt"), document.getElementById("f-negative_prompt")]) {
    if (!target) continue;
    target.addEventListener("input", (event) => { if (event.isTrusted) look(target); });
    target.addEventListener("blur", hide);
    target.addEventListener("keydown", (event) => {
      if (box.hidden || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        chosen = (chosen + (event.key === "ArrowDown" ? 1 : items.length - 1)) % items.length;
        show();
      } else if (event.key === "Tab") put();
      else if (event.key === "Escape") hide();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
})();
