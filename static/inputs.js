// Picture fields: files come by choosing, dropping and pasting; the size of the result follows the picture that it starts from.
"use strict";
(() => {
  const { element: form, set } = window.sdrest.form;
  const all = (selector, root = form) => [...root.querySelectorAll(selector)];
  const note = () => document.getElementById("model-note");

  function show(box, files, detail) {
    box.querySelector("[data-shown]").replaceChildren(...[...files].map((file) => {
      const image = new Image();
      image.alt = file.name;
      image.src = URL.createObjectURL(file);
      image.onload = () => URL.revokeObjectURL(image.src);
      return image;
    }));
    for (const reference of all("[type=hidden]", box)) reference.remove();
    if (files.length && detail?.of) box.append(Object.assign(document.createElement("input"), { type: "hidden", name: `${box.dataset.field}__of`, value: detail.of }));
    box.querySelector("[data-clear]").hidden = !files.length;
    box.dispatchEvent(new CustomEvent("sdrest-picture", { bubbles: true, detail: { file: files[0] ?? null, ...detail } }));
  }
  function give(box, files, detail = {}) {
    const input = box.querySelector("[type=file]");
    const data = new DataTransfer();
    for (const file of input.multiple ? files : files.slice(0, 1)) data.items.add(file);
    input.files = data.files;
    show(box, input.files, detail);
  }
  const picturesOf = (data) => [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  // A picture that is dragged from another page of this server, or from the strip: its file, not its thumbnail.
  function pictureOfPage(data) {
    const found = `${data.getData("text/html")} ${data.getData("text/uri-list")}`.match(/[^\s"']*\/api\/v1\/jobs\/[\w-]+\/output\/[\w.%-]+/);
    return found && new URL(found[0], location).origin === location.origin ? found[0] : "";
  }
  // What forms call the output at an address.
  function referenceTo(url) {
    const [, job, file] = url.match(/\/jobs\/([\w-]+)\/output\/([\w.%-]+)/) ?? [];
    return job ? `job:${job}/${decodeURIComponent(file)}` : "";
  }
  async function fetchPicture(url) {
    const reply = await fetch(url);
    const data = await reply.blob();
    if (!reply.ok || !data.type.startsWith("image/")) throw new TypeError("no picture");
    return new File([data], url.slice(url.lastIndexOf("/") + 1), { type: data.type });
  }
  for (const box of all("[data-drop]")) {
    box.querySelector("[type=file]").addEventListener("change", (event) => show(box, event.target.files));
    box.querySelector("[data-clear]").addEventListener("click", () => give(box, []));
    box.addEventListener("dragover", (event) => { event.preventDefault(); event.stopPropagation(); box.classList.add("is-over"); });
    box.addEventListener("dragleave", () => box.classList.remove("is-over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      box.classList.remove("is-over");
      const files = picturesOf(event.dataTransfer);
      const dragged = files.length ? "" : pictureOfPage(event.dataTransfer);
      if (files.length) give(box, files);
      else if (dragged) fetchPicture(dragged).then((file) => give(box, [file], { of: referenceTo(dragged) }), () => window.sdrest.announce(_("This picture cannot be used."), true));
    });
  }
  document.addEventListener("paste", (event) => {
    const files = picturesOf(event.clipboardData);
    const box = form.querySelector("[data-drop]");
    if (files.length && box) { event.preventDefault(); give(box, files); }
  });

  // A large picture is scaled to about the model's own number of pixels. What the canvas gives has the shape that it asks for itself.
  function takeShape(url) {
    const image = new Image();
    image.onload = () => {
      const multiple = Number(note()?.dataset.multiple) || 8;
      const defaults = note() ? JSON.parse(note().dataset.defaults) : {};
      const usual = (Number(defaults.width) || 512) * (Number(defaults.height) || 512);
      const scale = Math.min(1, Math.sqrt(usual * 1.5 / (image.naturalWidth * image.naturalHeight)));
      const round = (value) => Math.max(multiple, Math.round(value * scale / multiple) * multiple);
      set("width", round(image.naturalWidth));
      set("height", round(image.naturalHeight));
      if (url.startsWith("blob:")) URL.revokeObjectURL(url);
    };
    image.src = url;
  }
  const shaping = form.querySelector('[data-field="init_image"], [data-field="control_image"]');
  shaping?.addEventListener("sdrest-picture", (event) => { if (event.detail.file && !event.detail.isOfCanvas) takeShape(URL.createObjectURL(event.detail.file)); });
  const referred = shaping?.querySelector("[data-url]")?.dataset.url;
  // With a job's parameters comes its size.
  if (referred && !referred.startsWith(window.sdrest.at("/ui/jobs/"))) takeShape(referred);

  Object.assign(window.sdrest, { give, picturesOf, referenceTo });
})();
