// Appends log lines as the server writes them, and stays at the end unless the reader has scrolled up.
"use strict";
(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const longest = 800;
  log.scrollTop = log.scrollHeight;
  const source = new EventSource(window.sdrest.at("/ui/system/log"));
  source.onmessage = (event) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const lines = (log.textContent ? log.textContent + "\n" : "") + event.data;
    log.textContent = lines.split("\n").slice(-longest).join("\n");
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  addEventListener("pagehide", () => source.close());
})();
