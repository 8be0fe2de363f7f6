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
    const digits = unit > 1 && bytes < 100 ? 1 : 0;
    return `${bytes.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${units[unit]}`;
  }
  function time(seconds) {
    const whole = Math.round(seconds);
    if (whole < 60) return _("{seconds} s", { seconds: whole });
    if (whole < 3600) return _("{minutes} min {seconds} s", { minutes: Math.floor(whole / 60), seconds: whole % 60 });
    return _("{hours} h {minutes} min", { hours: Math.floor(whole / 3600), minutes: Math.floor(whole % 3600 / 60) });
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
        ? _("Checking the file")
        : _("{done} of {all} · {rate}/s · about {time} left", { done: size(progress.loaded), all: size(progress.total), rate: size(rate), time: time((progress.total - progress.loaded) / rate) });
    };
    request.onload = () => {
      const there = request.getResponseHeader("HX-Redirect");
      const [status, html] = [request.status, request.responseText];
      show(false);
      if (there) location.assign(there);
      else if (html.includes('id="upload-errors"')) apply(html);
      else window.sdrest.announce(_("The upload failed ({status}).", { status }), true);
    };
    request.onerror = () => { show(false); window.sdrest.announce(_("The upload was cut off."), true); };
    request.onabort = () => { show(false); window.sdrest.announce(_("The upload was stopped."), true); };
    text.textContent = "";
    form.querySelector("progress").value = 0;
    show(true);
    request.send(new FormData(form));
  });

  stop.addEventListener("click", () => request?.abort());
  addEventListener("beforeunload", (event) => { if (request) event.preventDefault(); });
})();
