// Picking two pictures to compare, and the slider that lays one over the other.
"use strict";
(() => {
  const bar = document.getElementById("compare");
  if (bar) {
    const chosen = () => [...document.querySelectorAll("input[name=p]:checked")];
    const show = () => {
      const count = chosen().length;
      bar.classList.toggle("is-active", count > 0);
      bar.querySelector("[data-chosen]").textContent = count === 2 ? "Two pictures chosen." : count === 1 ? "Choose one more picture." : "Choose two pictures to compare them.";
      bar.querySelector("[data-compare]").disabled = count !== 2;
    };
    document.addEventListener("change", (event) => {
      if (event.target.name !== "p") return;
      const all = chosen();
      if (all.length > 2) all.find((box) => box !== event.target).checked = false;
      show();
    });
    document.body.addEventListener("htmx:afterSwap", show);
    show();
  }
  const overlay = document.querySelector("[data-overlay]");
  if (overlay) {
    overlay.hidden = false;
    const over = overlay.querySelector("[data-over]");
    const slider = overlay.querySelector("[data-slider]");
    const draw = () => { over.style.clipPath = `inset(0 0 0 ${slider.value}%)`; };
    slider.addEventListener("input", draw);
    draw();
  }
})();
