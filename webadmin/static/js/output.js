/*
 * Output of running steps as it comes. What is committed later replaces it.
 *
 * A chunk says which bytes it holds (begin, end) and where the one before it ended (after). What is known already
 * is passed over; what was left out on purpose is marked; what got lost is asked for again.
 */

const KEEP = 64 * 1024;
const LEFT_OUT = "\n…\n";

export class OutputView {
  /* ``refresh`` fetches the steps again. */
  constructor(refresh) {
    this.refresh = refresh;
    this.steps = new Map();
    document.addEventListener("htmx:oobAfterSwap", () => this.draw());
  }

  /* False when a chunk before this one is missing and may still be had. */
  add({ step, life, after, begin, end, text, kept }) {
    let known = this.steps.get(step);
    if (!known || known.life !== life) {
      known = { life, end: 0, text: "", missed: false };
      this.steps.set(step, known);
    }
    if (end <= known.end) return true;
    if (after > known.end && !kept && !known.missed) {
      known.missed = true;
      return false;
    }
    known.missed = false;
    known.text = (known.text + (begin > known.end ? LEFT_OUT : "") + text).slice(-KEEP);
    known.end = end;
    this.draw();
    return true;
  }

  /* Nothing is committed when a step begins that only reads: its output is the first that one hears of it. */
  findPlaces() {
    for (const [step, known] of this.steps) {
      const name = CSS.escape(step);
      if (known.sought || document.querySelector(`[data-output="${name}"], [id^="step-${name}-"]`)) continue;
      known.sought = true;
      this.refresh();
    }
  }

  draw() {
    this.findPlaces();
    for (const place of document.querySelectorAll("[data-output]")) {
      const text = this.steps.get(place.dataset.output)?.text;
      if (text === undefined || place.textContent === text) continue;
      const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
      place.textContent = text;
      place.hidden = false;
      if (atEnd) place.scrollTop = place.scrollHeight;
    }
  }
}
