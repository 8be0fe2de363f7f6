// The API's page: finding routes, and trying them. The page is English, as the document is.
"use strict";
(() => {
  const key = document.getElementById("docs-key"), filter = document.getElementById("docs-filter");
  // Characters of an answer that are shown; longer texts within JSON are cut, since nobody reads base64.
  const MOST_SHOWN = 200000, MOST_TEXT = 600;
  const PICTURES = { iVBOR: "image/png", "/9j/": "image/jpeg", UklGR: "image/webp", R0lGO: "image/gif" };
  const running = new WeakMap(), shown = new WeakMap();

  // ------------------------------------------------------------------ finding
  function find() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const group of document.querySelectorAll(".docs-group")) {
      let some = false;
      for (const entry of group.querySelectorAll(".docs-entry")) {
        const text = entry.dataset.search.toLowerCase();
        entry.hidden = !words.every((word) => text.includes(word));
        some ||= !entry.hidden;
        number += entry.hidden ? 0 : 1;
      }
      group.hidden = !some;
    }
    document.querySelector("[data-docs-none]").hidden = number > 0;
  }
  filter.addEventListener("input", find);
  function openNamed() {
    const entry = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (entry?.matches(".docs-entry")) { entry.open = true; entry.scrollIntoView(); }
  }
  addEventListener("hashchange", openNamed);

  // ------------------------------------------------------------------ what is sent
  const inputs = (form, place) => [...form.querySelectorAll(`[data-in="${place}"]`)];
  function asked(form) {
    let path = form.dataset.path;
    for (const input of inputs(form, "path"))
      path = path.replace(`{${input.name}}`, () => (input.value ? encodeURIComponent(input.value).replaceAll("%2F", "/") : `{${input.name}}`));
    const query = new URLSearchParams(inputs(form, "query").filter((input) => input.value).map((input) => [input.name, input.value]));
    const text = query.toString();
    const fields = inputs(form, "form").filter((input) => (input.type === "file" ? input.files.length : input.value));
    return { method: form.dataset.method, address: path + (text ? `?${text}` : ""), fields, body: inputs(form, "body")[0]?.value ?? null };
  }
  function quoted(text) { return `'${text.replaceAll("'", "'\\''")}'`; }
  function curl(form) {
    const { method, address, fields, body } = asked(form);
    const parts = ["curl"];
    if (method !== "GET") parts.push(`-X ${method}`);
    parts.push(quoted(location.origin + address));
    if (key.value) parts.push('-H "Authorization: Bearer $SDREST_API_KEY"');
    if (body) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
    for (const input of fields) parts.push(`-F ${quoted(`${input.name}=${input.type === "file" ? `@${input.files[0].name}` : input.value}`)}`);
    form.querySelector("[data-curl]").textContent = parts.join(" \\\n  ");
  }
  function request(form) {
    const { method, address, fields, body } = asked(form);
    const headers = key.value ? { Authorization: `Bearer ${key.value.trim()}` } : {};
    let sent;
    if (body) { headers["Content-Type"] = "application/json"; sent = body; }
    if (fields.length) {
      sent = new FormData();
      for (const input of fields) sent.append(input.name, input.type === "file" ? input.files[0] : input.value);
    }
    // A key speaks for itself: the session is left out.
    return [address, { method, headers, body: method === "GET" ? undefined : sent, credentials: key.value ? "omit" : "same-origin", cache: "no-store" }];
  }

  // ------------------------------------------------------------------ what comes back
  function picture(form, source, type) {
    const item = document.createElement(type.startsWith("video/") ? "video" : "img");
    item.src = source;
    if (item.tagName === "VIDEO") item.controls = true; else item.alt = "Picture of the answer";
    form.querySelector("[data-pictures]").append(item);
  }
  function blobUrl(form, blob) {
    const url = URL.createObjectURL(blob);
    shown.get(form).push(url);
    return url;
  }
  function readable(form, value) {
    if (typeof value === "string") {
      const text = value.startsWith("data:image/") ? value.slice(value.indexOf(",") + 1) : value;
      const start = Object.keys(PICTURES).find((begin) => text.startsWith(begin));
      if (start && text.length > 100 && /^[A-Za-z0-9+/]+=*$/.test(text)) picture(form, `data:${PICTURES[start]};base64,${text}`, PICTURES[start]);
      return value.length > MOST_TEXT ? `${value.slice(0, 60)}… (${value.length} characters)` : value;
    }
    if (Array.isArray(value)) return value.map((item) => readable(form, item));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, readable(form, item)]));
    return value;
  }
  function write(form, text) {
    const place = form.querySelector("[data-body]");
    place.hidden = !text;
    place.textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}\n… (${text.length} characters)` : text;
  }
  async function follow(form, reply) {
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let piece = await reader.read(); !piece.done && text.length < MOST_SHOWN; piece = await reader.read()) write(form, (text += piece.value));
    await reader.cancel();
  }
  async function show(form, reply) {
    const type = (reply.headers.get("Content-Type") ?? "").split(";")[0];
    if (type === "text/event-stream" || type.includes("ndjson")) return follow(form, reply);
    if (type.startsWith("image/") || type.startsWith("video/")) return picture(form, blobUrl(form, await reply.blob()), type);
    if (type.includes("json")) {
      const text = await reply.text();
      try { return write(form, JSON.stringify(readable(form, JSON.parse(text)), null, 2)); } catch { return write(form, text); }
    }
    if (type.startsWith("text/")) return write(form, await reply.text());
    const blob = await reply.blob();
    if (!blob.size) return write(form, "");
    const link = Object.assign(document.createElement("a"), { href: blobUrl(form, blob), download: "answer", textContent: `Save the answer (${blob.size} bytes)` });
    form.querySelector("[data-pictures]").append(link);
  }
  async function send(form) {
    running.get(form)?.abort();
    const control = new AbortController(), stop = form.querySelector("[data-stop]"), status = form.querySelector("[data-status]");
    running.set(form, control);
    for (const url of shown.get(form) ?? []) URL.revokeObjectURL(url);
    shown.set(form, []);
    form.querySelector("[data-answer]").hidden = stop.hidden = false;
    form.querySelector("[data-pictures]").replaceChildren();
    form.querySelector("[data-headers]").textContent = "";
    write(form, "");
    status.textContent = "Waiting …";
    const [address, options] = request(form), began = performance.now();
    try {
      const reply = await fetch(address, { ...options, signal: control.signal });
      status.textContent = `${reply.status} ${reply.statusText}, after ${Math.round(performance.now() - began)} ms`;
      form.querySelector("[data-headers]").textContent = [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      await show(form, reply);
    } catch (error) {
      if (running.get(form) === control) status.textContent += error.name === "AbortError" ? " Stopped." : " The server does not answer.";
    } finally {
      if (running.get(form) === control) { running.delete(form); stop.hidden = true; }
    }
  }
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-try]")) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener("click", (event) => {
    const stop = event.target.closest("[data-stop]");
    if (stop) running.get(stop.closest("form"))?.abort();
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest("[data-try]");
    if (form) curl(form);
    else if (event.target === key) document.querySelectorAll("[data-try]").forEach(curl);
  });
  document.addEventListener("htmx:afterSettle", () => document.querySelectorAll("[data-try]").forEach(curl));
  document.querySelectorAll("[data-try]").forEach(curl);
  openNamed();
})();
