/* Output of running steps as it comes. What is committed later replaces it. */

const KEEP = 64 * 1024;

export class OutputView {
  constructor() {
    this.texts = new Map();
    document.addEventListener("htmx:oobAfterSwap", () => this.draw());
  }

  add({ step, text }) {
    this.texts.set(step, ((this.texts.get(step) ?? "") + text).slice(-KEEP));
    this.draw();
  }

  draw() {
    for (const place of document.querySelectorAll("[data-output]")) {
      const text = this.texts.get(place.dataset.output);
      if (text === undefined || place.textContent === text) continue;
      const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
      place.textContent = text;
      place.hidden = false;
      if (atEnd) place.scrollTop = place.scrollHeight;
    }
  }
}
