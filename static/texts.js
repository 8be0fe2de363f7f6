// The scripts' texts in the page's language: as they are written here, in English, or as the page brings them along.
"use strict";
(() => {
  const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");
  /** A text in the page's language, with the values put in where it says {name}. */
  window._ = (text, values = {}) => (texts[text] ?? text).replace(/\{(\w+)\}/g, (_whole, name) => values[name]);
})();
