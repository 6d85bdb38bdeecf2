/* Filters apply when they are chosen; a form is not sent twice; what cannot be undone is asked once;
   a button prints the page. */

export function startForms() {
  document.addEventListener("change", ({ target }) => {
    const form = target.closest("form[data-auto-submit]");
    if (form && target.matches("select, input[type=checkbox], input[type=date]")) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    const question = event.submitter?.dataset.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      return;
    }
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      form.dataset.sent = "yes";
      setTimeout(() => delete form.dataset.sent, 5000);
    }
  });
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-print]")) window.print();
  });
  // Coming back by the browser's button finds the page as it was, with forms that may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}
