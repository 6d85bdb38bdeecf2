/* An answer of a model as it comes. Without this the form waits for the whole of it. */

export function startAsking() {
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || !event.target.matches("form[data-ask]")) return;
    event.preventDefault();
    ask(event.target);
  });
}

async function ask(form) {
  const answer = form.querySelector("[data-ask-answer]");
  const note = form.querySelector("[data-ask-note]");
  const wrong = form.querySelector("[data-ask-error]");
  const button = form.querySelector("button");
  answer.textContent = note.textContent = wrong.textContent = "";
  wrong.hidden = true;
  answer.hidden = false;
  answer.textContent = "…";
  button.disabled = true;
  let begun = false;
  const hear = (said) => {
    if (said.error) {
      wrong.textContent = said.error;
      wrong.hidden = false;
    }
    if (said.note) note.textContent = said.note;
    if (said.text) {
      answer.textContent = (begun ? answer.textContent : "") + said.text;
      begun = true;
    }
  };
  try {
    const headers = { Accept: "text/event-stream" };
    const response = await fetch(form.action, { method: "POST", headers, body: new FormData(form) });
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      form.submit(); // whatever the page says to that
      return;
    }
    await read(response.body, hear);
  } catch (error) {
    hear({ error: String(error) });
  } finally {
    if (!begun) answer.hidden = true;
    button.disabled = false;
    delete form.dataset.sent;
  }
}

async function read(body, hear) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) hear(JSON.parse(event.replace(/^data: /, "")));
  }
}
