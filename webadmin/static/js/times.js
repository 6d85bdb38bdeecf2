/* Times in the reader's own clock; near ones as "12 s ago". The exact time is the tooltip. */

const NEAR = 3600 * 20;
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto", style: "short" });
const sameYear = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const exact = new Intl.DateTimeFormat(document.documentElement.lang || "en", { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const plain = new Intl.DateTimeFormat(document.documentElement.lang || "en", sameYear);

export function startTimes() {
  draw();
  setInterval(draw, 1000);
  document.addEventListener("htmx:oobAfterSwap", draw);
  document.addEventListener("htmx:afterSwap", draw);
}

function draw() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[data-when]")) {
    const at = new Date(element.dateTime);
    const text = written(at, (at - now) / 1000);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = exact.format(at);
  }
}

function written(at, seconds) {
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(Math.round(seconds), "second");
  if (size < 3600) return relative.format(Math.round(seconds / 60), "minute");
  if (size < NEAR) return relative.format(Math.round(seconds / 3600), "hour");
  return plain.format(at);
}
