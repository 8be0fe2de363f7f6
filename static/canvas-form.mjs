// The canvas and the form: picture and mask go into the form's file fields when it is sent, and what its jobs make comes back.
import { written } from "./canvas-mask.mjs";
import { region } from "./canvas-region.mjs";
import { encoded } from "./canvas-work.mjs";

const { form, give } = window.sdrest;
const pictureBox = form.element.querySelector('[data-field="init_image"]'), maskInput = document.getElementById("f-mask_image");
const field = (name) => document.getElementById(`f-inpaint-${name}`);

/** Width and height that the form asks for, as they are written there. */
export const size = () => ["width", "height"].map((name) => form.element.elements.namedItem(name).value);

/** The form gets another picture, which was made of the output `of` where that is given, and another size to ask for where one is given. */
export function replaced(file, of, wanted) {
  if (wanted) ["width", "height"].forEach((name, index) => form.set(name, wanted[index]));
  give(pictureBox, [file], { isOfCanvas: true, of });
}

/** How many pixels sizes go by. */
export const multiple = () => Number(document.getElementById("model-note")?.dataset.multiple) || 8;

/** The part that is painted alone; null where the whole picture is, or nothing is masked. */
export function paintedPart(sheet) {
  const box = sheet && field("only_masked").checked && sheet.mask.box();
  const [width, height] = size().map(Number);
  return box && width && height ? region(box, Number(field("padding").value) || 0, { width, height }, sheet) : null;
}

async function handOver({ mask, width, height }) {
  const data = new DataTransfer();
  if (!mask.isEmpty) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").putImageData(new ImageData(written(mask), width, height), 0, 0);
    data.items.add(await encoded(canvas, "mask.png"));
  }
  maskInput.files = data.files;
}

/** Have the form send what `work` holds, and `results` follow the jobs that come of it. */
export function sending(work, results, surface) {
  const isOurs = (event) => event.detail.elt === form.element && work.sheet;
  // Encoding takes a moment: the form waits for it.
  document.body.addEventListener("htmx:confirm", async (event) => {
    if (!isOurs(event)) return;
    event.preventDefault();
    work.finish();
    const { sheet } = work, file = await sheet.file;
    if (pictureBox.querySelector("[type=file]").files[0] !== file && !pictureBox.querySelector("[data-url]")) replaced(file, sheet.of);
    await handOver(sheet);
    event.detail.issueRequest();
  });
  let part = null;
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!isOurs(event) || !event.detail.successful) return;
    part = paintedPart(work.sheet) ?? { x: 0, y: 0, width: work.sheet.width, height: work.sheet.height };
    const [, job] = event.detail.xhr.responseText.match(/data-job="([^"]+)"/) ?? [];
    if (job) results.follow(job);
  });
  const isAwaited = ({ job }) => work.sheet && results.awaited.has(job) && !results.isShown;
  document.body.addEventListener("sdrest-preview", ({ detail }) => { if (part && isAwaited(detail)) surface.cover(detail.image, part); });
  document.body.addEventListener("sdrest-job", ({ detail }) => {
    if (isAwaited(detail) && ["failed", "cancelled", "removed"].includes(detail.state)) surface.cover("");
  });
}
