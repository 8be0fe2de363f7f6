// The built-in model knows few words: those of the prompt that it does not know are underlined, the nearest is offered, and a dice draws a
// prompt. A sample that is clicked fills the form and sends it.
"use strict";
(() => {
  const { form } = window.sdrest;
  const area = document.getElementById("f-prompt");
  if (!area) return;
  const one = (name) => document.querySelector(`[data-${name}]`);
  const [marks, unknown, dice] = ["marks", "unknown", "dice"].map(one);
  const isWord = /[\p{L}\p{N}']+/gu;
  // An emphasis of a word and a LoRA are no words of the picture.
  const isTag = /<[^<>]*>/g;
  let words = null;

  async function learn() {
    const reply = await fetch(window.sdrest.at("/api/models/demo/words"));
    if (!reply.ok) return;
    words = await reply.json();
    words.known = new Set([...words.words, ...Object.keys(words.synonyms)]);
    dice.hidden = false;
    show();
  }

  function distance(a, b) {
    let row = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i += 1) {
      const next = [i];
      for (let j = 1; j <= b.length; j += 1) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      row = next;
    }
    return row[b.length];
  }
  function nearest(word) {
    let best = "", least = Math.max(1, Math.floor(word.length / 2.5));
    for (const known of words.known) {
      const apart = known.length > 2 ? distance(word, known) : Infinity;
      if (apart < least || (apart === least && !best)) { best = known; least = apart; }
    }
    return best;
  }
  const strange = (text) => {
    const tags = [...text.matchAll(isTag)].map((match) => [match.index, match.index + match[0].length]);
    return [...text.matchAll(isWord)].filter((match) => !/^[\d.]+$/.test(match[0]) && !words.known.has(match[0].toLowerCase())
      && !tags.some(([from, to]) => match.index >= from && match.index < to));
  };

  function show() {
    const isDemo = words && document.querySelector("[data-demo]");
    const found = isDemo ? strange(area.value) : [];
    dice.hidden = !isDemo;
    let at = 0;
    const parts = [];
    for (const match of found) {
      const mark = document.createElement("mark");
      mark.textContent = match[0];
      parts.push(area.value.slice(at, match.index), mark);
      at = match.index + match[0].length;
    }
    marks.replaceChildren(...parts, area.value.slice(at));
    marks.scrollTop = area.scrollTop;
    unknown.hidden = !found.length;
    if (!found.length) return;
    unknown.replaceChildren(_("The built-in model does not know:"), " ");
    [...new Set(found.map((match) => match[0]))].slice(0, 6).forEach((word, index) => {
      unknown.append(index ? ", " : "", word);
      const known = nearest(word.toLowerCase());
      if (!known) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = known;
      button.addEventListener("click", () => {
        form.set("prompt", area.value.replace(new RegExp(`(?<![\\p{L}\\p{N}'])${word}(?![\\p{L}\\p{N}'])`, "gu"), () => known));
        area.focus();
      });
      unknown.append(" → ", button);
    });
  }
  const any = (list) => list[Math.floor(Math.random() * list.length)];
  dice.addEventListener("click", () => {
    const thing = any(words.things);
    form.set("prompt", `${/^[aeiou]/.test(thing) ? "an" : "a"} ${thing} on a ${any(words.colors)} background`);
  });
  document.addEventListener("click", (event) => {
    const sample = event.target.closest("[data-sample]");
    if (!sample) return;
    event.preventDefault();
    form.set("prompt", sample.value);
    form.element.requestSubmit(document.getElementById("submit"));
  });

  area.addEventListener("input", show);
  area.addEventListener("scroll", () => { marks.scrollTop = area.scrollTop; });
  function begin() {
    if (!words && document.querySelector("[data-demo]")) learn();
    else show();
  }
  document.body.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "model-note" || event.detail.target?.id === "model-note") begin(); });
  begin();
})();
