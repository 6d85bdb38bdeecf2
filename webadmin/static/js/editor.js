/* The editor of tasks and policies: line numbers with marks at problems, a click on a problem goes there, Tab
   indents. */

/* What the box reads of a form at most (DATA_UPLOAD_MAX_MEMORY_SIZE), less room for the other fields. Of more
   it ends the connection, and the browser shows its own error page in place of the text. */
const MOST_SENT = 2 * 1024 * 1024 - 4096;

export function startEditor() {
  const box = document.querySelector("[data-editor]");
  if (!box) return;
  const text = box.querySelector("textarea");
  const gutter = document.createElement("div");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  box.prepend(gutter);

  const draw = () => drawGutter(gutter, text);
  draw();
  text.addEventListener("input", draw);
  text.addEventListener("input", () => text.setCustomValidity(fits(text.value) ? "" : box.dataset.wordLong));
  text.addEventListener("htmx:beforeRequest", (event) => {
    if (text.validity.valid) return;
    event.preventDefault();
    say(box.dataset.wordLong);
  });
  for (const failed of ["htmx:sendError", "htmx:responseError"]) {
    text.addEventListener(failed, () => say(box.dataset.wordUnchecked));
  }
  text.addEventListener("scroll", () => (gutter.scrollTop = text.scrollTop));
  text.addEventListener("keydown", (event) => onKey(event, text));
  document.addEventListener("htmx:afterSwap", draw);
  document.addEventListener("click", ({ target }) => {
    const place = target.closest("[data-line]");
    if (place) goTo(text, Number(place.dataset.line), Number(place.dataset.column));
  });

  const saved = text.value;
  window.addEventListener("beforeunload", (event) => {
    if (text.value !== saved && !text.form.dataset.sent) event.preventDefault();
  });
}

function fits(value) {
  if (value.length * 9 < MOST_SENT) return true;
  return new URLSearchParams([["text", value.replaceAll("\n", "\r\n")]]).toString().length < MOST_SENT;
}

/* In place of a verdict on another text. */
function say(sentence) {
  const line = document.createElement("p");
  line.className = "problems-head bad";
  line.textContent = sentence;
  document.querySelector("#problems").replaceChildren(line);
}

function drawGutter(gutter, text) {
  const marked = new Set([...document.querySelectorAll("#problems [data-line]")].map((e) => Number(e.dataset.line)));
  const lines = text.value.split("\n").length;
  gutter.replaceChildren();
  for (let line = 1; line <= lines; line += 1) {
    const number = document.createElement(marked.has(line) ? "b" : "span");
    number.textContent = `${line}\n`;
    gutter.append(number);
  }
  gutter.scrollTop = text.scrollTop;
}

function goTo(text, line, column) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(start + Math.max(0, column - 1), start + (lines[line - 1] ?? "").length);
  text.scrollTop = Math.max(0, (line - 6) * 20);
}

/* Tab must stay a way out for keyboards: after Escape the next Tab leaves the field. */
let leaving = false;
function onKey(event, text) {
  if (event.key === "Escape") {
    leaving = true;
    return;
  }
  if (event.key === "Tab" && !leaving && !event.shiftKey) {
    event.preventDefault();
    text.setRangeText("  ", text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    text.form.requestSubmit();
  } else if (event.key === "Enter" && !event.isComposing) {
    const before = text.value.slice(0, text.selectionStart);
    const indent = before.slice(before.lastIndexOf("\n") + 1).match(/^ */)[0];
    if (indent) {
      event.preventDefault();
      text.setRangeText(`\n${indent}`, text.selectionStart, text.selectionEnd, "end");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  leaving = false;
}
