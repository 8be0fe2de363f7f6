// More words for the prompt: what a language model proposes is shown beside it, to be taken or left.
"use strict";
(() => {
  const prompt = document.getElementById("f-prompt"), button = document.querySelector("[data-expand]");
  const box = document.querySelector("[data-proposal]");
  if (!prompt || !button || !box) return;
  const [text, problem, take, leave, back] = ["text", "problem", "take", "leave", "back"].map((name) => box.querySelector(`[data-${name}]`));
  let before = "", proposed = "";

  function set(words) {
    prompt.value = words;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
    prompt.focus();
  }
  function show(part) {
    box.hidden = !part;
    text.hidden = take.hidden = part !== "text";
    problem.hidden = part !== "problem";
    back.hidden = part !== "back";
    leave.hidden = !part;
  }
  async function ask() {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    box.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(window.sdrest.at("/api/prompts/expand"), {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ prompt: prompt.value }),
      });
      const answer = await reply.json();
      if (!reply.ok) throw new Error(answer.error);
      text.textContent = proposed = answer.prompt;
      show("text");
      take.focus();
    } catch (error) {
      problem.textContent = error instanceof TypeError ? _("The server does not answer.") : error.message;
      show("problem");
    } finally {
      button.removeAttribute("aria-disabled");
      box.removeAttribute("aria-busy");
    }
  }
  button.addEventListener("click", ask);
  take.addEventListener("click", () => { before = prompt.value; show("back"); set(proposed); });
  back.addEventListener("click", () => { show(""); set(before); });
  leave.addEventListener("click", () => { show(""); prompt.focus(); });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") leave.click(); });
})();
