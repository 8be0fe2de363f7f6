// The canvas' door: what it is made of is fetched as soon as there is a picture to paint on.
import { kept } from "./canvas-store.mjs";

const { form, give, picturesOf } = window.sdrest;
const desk = document.querySelector("[data-desk]"), area = desk.querySelector("[data-area]");
const pictureBox = form.element.querySelector('[data-field="init_image"]');

let fetched = null;
const canvas = () => fetched ??= import("./canvas-desk.mjs");

pictureBox.addEventListener("sdrest-picture", async ({ detail }) => {
  if (detail.isOfCanvas) return;
  const { open, close } = await canvas();
  if (detail.file) open(detail.file, location.search, { of: detail.of });
  else close();
});
desk.addEventListener("click", (event) => {
  if (event.target.closest("[data-choose]")) pictureBox.querySelector("[type=file]").click();
  const { view } = event.target.closest("button")?.dataset ?? {};
  if (view) show(view);
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-film]")) show("result"); });
document.body.addEventListener("htmx:afterRequest", (event) => { if (event.detail.elt === form.element && event.detail.successful) show("canvas"); });
function show(view) {
  desk.dataset.view = view;
  for (const button of desk.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
}
area.addEventListener("dragover", (event) => { event.preventDefault(); event.stopPropagation(); });
area.addEventListener("drop", (event) => {
  event.preventDefault();
  event.stopPropagation();
  const files = picturesOf(event.dataTransfer);
  if (files.length) give(pictureBox, files);
});

document.getElementById("f-mask_image").tabIndex = -1;
const before = await kept();
if (before.file || pictureBox.querySelector("[data-url]")) (await canvas()).begin(before);
