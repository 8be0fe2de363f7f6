// What came of a picture: results of its jobs lie over it, one at a time, until one is accepted or all are discarded.

const over = new Set(["completed", "failed", "cancelled", "removed"]);

export class Results {
  /**
   * @param bar the buttons
   * @param act `show(address, job)` lays one over the picture, or with no address none; `accept(address)`; `changed()`
   */
  constructor(bar, act) {
    Object.assign(this, { bar, act, found: [], at: 0, awaited: new Set() });
    this.count = bar.querySelector("[data-count]");
    bar.addEventListener("click", (event) => {
      const what = event.target.closest("[data-result-do]")?.dataset.resultDo;
      if (what) this[what]();
    });
    document.body.addEventListener("sdrest-job", ({ detail }) => {
      if (this.awaited.has(detail.job) && over.has(detail.state)) this.follow(detail.job);
    });
  }

  get isShown() { return this.found.length > 0; }

  /** Take a job's results as soon as there are any. */
  async follow(job) {
    this.awaited.add(job);
    const reply = await fetch(window.sdrest.at(`/ui/jobs/${job}`), { headers: { "HX-Request": "true" } });
    // It may have been asked for twice, at its end and when the stream told of it.
    if (!this.awaited.has(job)) return;
    if (reply.status === 404) { this.awaited.delete(job); return; }
    if (!reply.ok) return;
    const card = new DOMParser().parseFromString(await reply.text(), "text/html").querySelector("[data-job]");
    if (!over.has(card.dataset.state) || !this.awaited.delete(job)) return;
    const addresses = [...card.querySelectorAll("a[download]")].map((link) => link.getAttribute("href"));
    if (addresses.length) {
      this.at = this.found.length;
      this.found.push(...addresses);
    }
    this.#show();
  }

  previous() { this.#go(-1); }
  next() { this.#go(1); }
  #go(step) {
    this.at = (this.at + step + this.found.length) % this.found.length;
    this.#show();
  }

  async accept() {
    const address = this.found[this.at];
    await this.act.accept(address);
    this.drop();
  }
  discard() {
    this.found.splice(this.at, 1);
    this.at = Math.max(0, Math.min(this.at, this.found.length - 1));
    this.#show();
  }
  drop() {
    this.found = [];
    this.at = 0;
    this.#show();
  }

  #show() {
    this.bar.hidden = !this.isShown;
    this.count.textContent = this.found.length > 1 ? `${this.at + 1} / ${this.found.length}` : "";
    for (const button of this.bar.querySelectorAll("[data-of-several]")) button.hidden = this.found.length < 2;
    this.act.show(this.found[this.at] ?? "");
    this.act.changed();
  }
}
