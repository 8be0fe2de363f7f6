// Writing prompts: weights by Ctrl+↑ and Ctrl+↓, the prompts of before by Alt+↑ and Alt+↓, and the exact count of tokens.
"use strict";
(() => {
  const prompt = document.getElementById("f-prompt"), negative = document.getElementById("f-negative_prompt");
  if (!prompt) return;
  const shown = document.querySelector("[data-tokens]");

  // In narrow windows the dock is larger while one writes. Pressing a button there must not end that: the button would move away from
  // under the mouse before it is let go.
  let isMouse = false;
  const dock = prompt.closest(".dock");
  dock?.addEventListener("pointerdown", (event) => { isMouse = event.pointerType === "mouse"; });
  dock?.addEventListener("mousedown", (event) => { if (isMouse && event.target.closest("button")) event.preventDefault(); });

  function replace(area, start, end, text, from, to) {
    area.setRangeText(text, start, end, "preserve");
    area.setSelectionRange(from, to);
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // ------------------------------------------------------------------ weights
  const WEIGHED = /^\((.*):\s*([+-]?\d*\.?\d+)\)$/s;
  // What is selected, or the word at the cursor; with the brackets that weigh it already, where there are any.
  function aim(area) {
    const text = area.value;
    let [start, end] = [area.selectionStart, area.selectionEnd];
    if (start === end) {
      while (start > 0 && /[^\s,()]/.test(text[start - 1])) start -= 1;
      while (end < text.length && /[^\s,()]/.test(text[end])) end += 1;
      const weight = /:[+-]?\d*\.?\d+$/.exec(text.slice(start, end));
      if (weight && text[end] === ")") end -= weight[0].length;
    }
    while (start < end && /\s/.test(text[start])) start += 1;
    while (end > start && /\s/.test(text[end - 1])) end -= 1;
    const after = /^:\s*[+-]?\d*\.?\d+\)/.exec(text.slice(end));
    const open = text.lastIndexOf("(", start - 1 < 0 ? 0 : start - 1);
    if (after && start > 0 && open >= 0 && !/[()]/.test(text.slice(open + 1, start))) return [open, end + after[0].length];
    return [start, end];
  }
  function weigh(area, step) {
    const [start, end] = aim(area);
    if (start === end) return;
    const part = area.value.slice(start, end), found = WEIGHED.exec(part);
    const words = found ? found[1] : part;
    const weight = Math.round(Math.min(4, Math.max(0, Number(found ? found[2] : 1) + step)) * 100) / 100;
    const text = weight === 1 ? words : `(${words}:${weight})`;
    const inner = start + (weight === 1 ? 0 : 1);
    replace(area, start, end, text, inner, inner + words.length);
  }
  for (const area of [prompt, negative])
    area?.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
      event.preventDefault();
      weigh(area, event.key === "ArrowUp" ? 0.1 : -0.1);
    });

  // ------------------------------------------------------------------ the prompts of before
  const HISTORY = "sdrest.prompts", MOST = 50;
  let steps = -1, typed = "";
  function before() {
    try { return JSON.parse(localStorage.getItem(HISTORY) ?? "[]").filter((text) => typeof text === "string"); } catch { return []; }
  }
  function remember() {
    const text = prompt.value.trim();
    steps = -1;
    if (!text) return;
    try { localStorage.setItem(HISTORY, JSON.stringify([text, ...before().filter((other) => other !== text)].slice(0, MOST))); } catch { /* no memory */ }
  }
  document.getElementById("generate")?.addEventListener("submit", remember);
  document.body.addEventListener("htmx:beforeRequest", (event) => { if (event.target.id === "generate") remember(); });
  prompt.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const past = before();
    if (steps < 0) typed = prompt.value;
    steps = Math.max(-1, Math.min(past.length - 1, steps + (event.key === "ArrowUp" ? 1 : -1)));
    const text = steps < 0 ? typed : past[steps];
    replace(prompt, 0, prompt.value.length, text, text.length, text.length);
  });

  // ------------------------------------------------------------------ tokens
  let timer = 0, asked = 0;
  async function count() {
    const mine = ++asked, model = document.getElementById("f-model")?.value ?? "";
    if (!prompt.value.trim()) return;
    try {
      const reply = await fetch(window.sdrest.at("/api/prompts/tokens"), {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ prompt: prompt.value, model }),
      });
      if (!reply.ok || mine !== asked) return;
      const { tokens, piece } = await reply.json();
      if (tokens === null) return;
      const pieces = Math.max(1, Math.ceil(tokens / piece));
      shown.textContent = _("{tokens} / {most} tokens", { tokens, most: pieces * piece });
      shown.title = pieces > 1 ? _("Read in {pieces} pieces of {piece} tokens", { pieces, piece }) : _("Up to {piece} tokens are read in one piece", { piece });
    } catch { /* the rough count stays */ }
  }
  function soon() { clearTimeout(timer); timer = setTimeout(count, 250); }
  prompt.addEventListener("input", soon);
  document.addEventListener("change", (event) => { if (event.target.id === "f-model") soon(); });
  soon();
})();
