/*
 * What happens on the box reaches the page. The socket only hints: a marked part is fetched again from the
 * page's own address, so a part looks the same live and after a reload.
 *
 *   <section id="runs" data-live="run/ task/">          fetched again after events whose subject begins so
 *   data-live-every="10"                                and at least every 10 seconds
 *   <body data-cursor="812-4711" data-watch="run id">   where the page stands; whose output to show
 */

import { OutputView } from "./output.js";

const SHORTEST = 1000;
const LONGEST = 15000;
const SPACING = 300;
const PATIENCE = 3000;

export function startLive() {
  if (document.body.dataset.cursor) new Live(document.body).connect();
}

class Live {
  constructor(body) {
    this.url = body.dataset.liveUrl;
    this.words = { on: body.dataset.wordLive, off: body.dataset.wordAgain };
    this.cursor = body.dataset.cursor;
    this.watched = body.dataset.watch;
    this.refresher = new Refresher();
    this.output = new OutputView(() => this.refresher.want(["steps"]));
    this.failures = 0;
    this.sign = document.getElementById("live-word");
    this.seconds = 0;
    setInterval(() => document.hidden || this.tick(), 1000);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresher.run());
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.url}`);
    this.socket = socket;
    this.asked = 0;
    socket.addEventListener("open", () => {
      this.failures = 0;
      socket.send(JSON.stringify({ after: this.cursor }));
      if (this.watched) socket.send(JSON.stringify({ watch: this.watched }));
      this.show(true);
    });
    socket.addEventListener("message", (message) => this.take(JSON.parse(message.data)));
    socket.addEventListener("close", () => {
      this.show(false);
      const pause = Math.min(LONGEST, SHORTEST * 2 ** this.failures) * (0.5 + Math.random() / 2);
      this.failures = Math.min(this.failures + 1, 10);
      setTimeout(() => this.connect(), pause);
    });
  }

  /* Looked for each time: a part that was fetched again may ask for it anew, or not any more. */
  tick() {
    this.seconds += 1;
    const parts = [...document.querySelectorAll("[data-live-every]")];
    const due = parts.filter((part) => this.seconds % Number(part.dataset.liveEvery) === 0);
    if (due.length) this.refresher.want(due.map((part) => part.id));
  }

  take(message) {
    if (message.cursor) this.cursor = message.cursor;
    if (message.output && !this.output.add(message.output)) this.askAgain();
    if (message.events) {
      const subjects = message.events.map((event) => event.subject);
      this.refresher.want(partsFor(subjects));
    }
  }

  /* A chunk did not arrive: what was kept of it is sent again. Not more than once in a while. */
  askAgain() {
    if (Date.now() - this.asked < PATIENCE) return;
    this.asked = Date.now();
    this.socket.send(JSON.stringify({ watch: this.watched }));
  }

  show(on) {
    if (!this.sign) return;
    this.sign.hidden = false;
    this.sign.textContent = on ? this.words.on : this.words.off;
    this.sign.classList.toggle("on", on);
  }
}

function partsFor(subjects) {
  const found = [];
  for (const part of document.querySelectorAll("[data-live]")) {
    const prefixes = part.dataset.live.split(" ");
    if (subjects.some((subject) => prefixes.some((prefix) => subject.startsWith(prefix)))) found.push(part.id);
  }
  return found;
}

/* One request at a time; the first at once, the next not before SPACING has passed. */
class Refresher {
  constructor() {
    this.wanted = new Set();
    this.busy = false;
    this.source = document.getElementById("refresh");
    this.source.addEventListener("htmx:afterRequest", (event) => this.done(event.detail.xhr));
  }

  want(ids) {
    for (const id of ids) this.wanted.add(id);
    this.run();
  }

  run() {
    if (this.busy || document.hidden || !window.htmx) return;
    const ready = [...this.wanted].filter((id) => !inUse(document.getElementById(id)));
    if (!ready.length) return;
    this.busy = true;
    for (const id of ready) this.wanted.delete(id);
    this.source.setAttribute("hx-select-oob", ready.map((id) => `#${id}`).join(","));
    window.htmx.trigger(this.source, "refresh");
  }

  done(answer) {
    // The session has ended: the page itself says so better than a part of it.
    if (answer?.responseURL && new URL(answer.responseURL).pathname !== location.pathname) location.reload();
    setTimeout(() => {
      this.busy = false;
      this.run();
    }, SPACING);
  }
}

/* A part in which somebody types or chooses is left alone until they are done; the next event brings it. */
function inUse(part) {
  const active = document.activeElement;
  return !part || (part.contains(active) && active.matches("input:not([type=hidden]), textarea, select"));
}
