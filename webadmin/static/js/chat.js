/* Enter sends what is written, Shift and Enter begins a line; the field grows with it, and is empty when it was taken. */

export function startChat() {
  const form = document.querySelector("form[data-chat]");
  if (!form) return;
  const text = form.querySelector("textarea");
  const fit = () => {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight + 2}px`;
  };
  text.addEventListener("input", fit);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.successful) return;
    text.value = "";
    fit();
    text.focus();
  });
}
