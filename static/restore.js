// Parameters from elsewhere: of a picture that is dropped beside the picture fields, or of a text that is pasted as the prompt.
"use strict";
(() => {
  const { form, announce, picturesOf } = window.sdrest;

  async function ask(body, type) {
    const reply = await fetch(window.sdrest.at("/ui/parameters"), { method: "POST", body, headers: { "Content-Type": type } });
    return reply.ok ? reply.json() : null;
  }
  function put(values) {
    form.fill(values);
    const model = document.getElementById("f-model");
    if (model) htmx.trigger(model, "change");
    form.element.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function restore(found, isPicture) {
    const count = Object.keys(found.texts).length + found.loras.length;
    if (!count) { announce(isPicture ? _("This picture holds no parameters.") : _("This text holds no parameters."), true); return; }
    const before = form.snapshot();
    form.clear();
    put({ ...found.texts, " loras": found.loras });
    announce(_("Parameters restored: {count}. Everything else is at its default.", { count }), false, {
      label: _("Undo"),
      run: () => { form.clear(); put(before); },
    });
  }

  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("is-restoring"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("is-restoring"); });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("is-restoring");
    const [file] = picturesOf(event.dataTransfer);
    if (!file) return;
    const found = await ask(file, file.type);
    if (found) restore(found, true);
    else announce(_("The parameters of this picture could not be read."), true);
  });
  document.getElementById("f-prompt")?.addEventListener("paste", async (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    // What A1111 and others copy ends in a line of settings.
    if (!/^Steps: \d+, /m.test(text)) return;
    event.preventDefault();
    const found = await ask(text, "text/plain");
    if (found) restore(found, false);
  });
})();
