// Out of sight: how far a job is stands in the title and the icon of the page, in a pill on pages without a stage, and the end of a long
// job is told to who looks elsewhere.
"use strict";
(() => {
  const body = document.body, title = document.title;
  const icon = document.querySelector("link[rel=icon]"), iconAddress = icon.href;
  const pill = document.querySelector("[data-pill]");
  const longMs = 15_000;
  // Jobs that run, with what is known of them; the newest is shown.
  const running = new Map();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;

  function drawIcon(percent) {
    const pen = canvas.getContext("2d"), turn = 2 * Math.PI * percent / 100;
    pen.clearRect(0, 0, 64, 64);
    pen.lineWidth = 12;
    pen.strokeStyle = "#b8c4c2";
    pen.beginPath();
    pen.arc(32, 32, 25, 0, 2 * Math.PI);
    pen.stroke();
    pen.strokeStyle = "#0b8f86";
    pen.beginPath();
    pen.arc(32, 32, 25, -Math.PI / 2, turn - Math.PI / 2);
    pen.stroke();
    icon.href = canvas.toDataURL("image/png");
  }
  function show() {
    const [id, job] = [...running].at(-1) ?? [];
    document.title = job ? `${Math.round(job.percent)} % · ${job.name || title}` : title;
    if (job) drawIcon(job.percent);
    else icon.href = iconAddress;
    if (!pill) return;
    pill.hidden = !job;
    if (!job) return;
    pill.href = window.sdrest.at(`/ui/jobs/${id}`);
    pill.setAttribute("aria-label", _("The running job: {percent} %", { percent: Math.round(job.percent) }));
    pill.querySelector("[data-pill-text]").textContent = `${Math.round(job.percent)} %`;
    const image = pill.querySelector("img");
    image.hidden = !job.image;
    if (job.image && image.src !== job.image) image.src = job.image;
  }
  const jobOf = (id) => {
    if (!running.has(id)) running.set(id, { percent: 0, name: "", image: "", since: Date.now() });
    return running.get(id);
  };

  body.addEventListener("sdrest-progress", ({ detail }) => {
    const job = jobOf(detail.job);
    job.percent = detail.percent;
    job.name ||= document.querySelector(`[data-job="${CSS.escape(detail.job)}"] .prompt-line`)?.textContent.slice(0, 60) ?? "";
    show();
    if (Date.now() - job.since > longMs) offer();
  });
  body.addEventListener("sdrest-preview", ({ detail }) => { jobOf(detail.job).image = detail.image; show(); });
  body.addEventListener("sdrest-job", ({ detail }) => {
    if (detail.state === "running" || detail.state === "pending") return;
    const job = running.get(detail.job);
    running.delete(detail.job);
    show();
    if (job && document.hidden && "Notification" in window && Notification.permission === "granted" && detail.text)
      new Notification(detail.text, { body: job.name, icon: iconAddress, tag: detail.job });
  });

  // Asked at the first job that takes long, and never again.
  const asked = "sdrest.notify";
  function offer() {
    try {
      if (!("Notification" in window) || Notification.permission !== "default" || localStorage.getItem(asked)) return;
      localStorage.setItem(asked, "asked");
    } catch { return; }
    window.sdrest.announce(_("This takes a while."), false, { label: _("Tell me when it is done"), run: () => Notification.requestPermission() });
  }
})();
