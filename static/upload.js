// Sends the upload form itself, so that it can show how far the file is and stop it. Without this script the browser sends it.
"use strict";
(() => {
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const part = (name) => form.querySelector(`[data-${name}]`);
  const [send, stop, sending, text] = ["send", "stop", "sending", "sent-text"].map(part);
  let request = null;

  const units = ["B", "kB", "MB", "GB", "TB"];
  function size(bytes) {
    let unit = 0;
    while (bytes >= 999.5 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${bytes.toFixed(unit > 1 && bytes < 100 ? 1 : 0)} ${units[unit]}`;
  }
  function time(seconds) {
    const whole = Math.round(seconds);
    return whole < 60 ? `${whole} s` : whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  }

  function show(running) {
    send.disabled = running;
    stop.hidden = sending.hidden = !running;
    if (!running) request = null;
  }

  // What is wrong comes as the very elements of this page that show it.
  function apply(html) {
    const answer = new DOMParser().parseFromString(html, "text/html");
    for (const element of answer.querySelectorAll("[id]")) {
      element.removeAttribute("hx-swap-oob");
      document.getElementById(element.id)?.replaceWith(element);
    }
    const wrong = form.querySelector(".field-error:not([hidden])");
    wrong?.closest(".field")?.querySelector("input, select")?.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (request) return;
    request = new XMLHttpRequest();
    const began = performance.now();
    request.open("POST", form.action);
    request.setRequestHeader("HX-Request", "true");
    request.upload.onprogress = (progress) => {
      if (!progress.lengthComputable) return;
      const seconds = (performance.now() - began) / 1000;
      const rate = progress.loaded / Math.max(seconds, 0.001);
      const percent = Math.round(100 * progress.loaded / progress.total);
      form.querySelector("progress").value = percent;
      part("sent-percent").textContent = `${percent} %`;
      text.textContent = progress.loaded === progress.total
        ? "Checking the file"
        : `${size(progress.loaded)} of ${size(progress.total)} · ${size(rate)}/s · about ${time((progress.total - progress.loaded) / rate)} left`;
    };
    request.onload = () => {
      const there = request.getResponseHeader("HX-Redirect");
      const [status, html] = [request.status, request.responseText];
      show(false);
      if (there) location.assign(there);
      else if (html.includes('id="upload-errors"')) apply(html);
      else window.sdrest.announce(`The upload failed (${status}).`, true);
    };
    request.onerror = () => { show(false); window.sdrest.announce("The upload was cut off.", true); };
    request.onabort = () => { show(false); window.sdrest.announce("The upload was stopped.", true); };
    text.textContent = "";
    form.querySelector("progress").value = 0;
    show(true);
    request.send(new FormData(form));
  });

  stop.addEventListener("click", () => request?.abort());
  addEventListener("beforeunload", (event) => { if (request) event.preventDefault(); });
})();
