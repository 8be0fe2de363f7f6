// The queue's lists follow the jobs; what is typed into the search stays, since only the lists are drawn anew.
"use strict";
(() => {
  document.body.addEventListener("sdrest-jobs", () => {
    clearTimeout(wait);
    wait = setTimeout(() => htmx.ajax("GET", document.getElementById("queue-finished").dataset.address, { swap: "none" }), 200);
  });
  let wait = 0;
})();
