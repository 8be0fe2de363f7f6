// Shows the offline page when a page cannot be fetched. It keeps that page and what it loads, and nothing else: no data of the server is
// ever shown from here.
"use strict";
const page = new URL("offline", self.registration.scope).href;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const reply = await fetch(page);
    const text = await reply.clone().text();
    const files = [...text.matchAll(/(?:href|src)="([^"]*\/static\/[^"]*)"/g)].map((found) => new URL(found[1], page).href);
    const cache = await caches.open(version);
    await cache.put(page, reply);
    await cache.addAll(files);
    await self.skipWaiting();
  })());
});
self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== version) await caches.delete(name);
  })());
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(() => caches.match(page)));
  else if (request.url.includes("/static/")) event.respondWith(fetch(request).catch(async () => (await caches.match(request.url)) ?? Response.error()));
});
