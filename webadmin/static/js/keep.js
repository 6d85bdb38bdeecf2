/* What a reader opened or scrolled to stays so when a part is fetched again. */

export function startKeeping() {
  document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
    const fresh = detail.fragment;
    if (!fresh || !detail.target) return;
    for (const old of detail.target.querySelectorAll("details[id]")) {
      const same = fresh.querySelector(`#${CSS.escape(old.id)}`);
      if (same) same.open = old.open;
    }
    const focused = detail.target.contains(document.activeElement) ? document.activeElement : null;
    if (focused) keepFocus(focused);
  });
  // A menu closes when something else is clicked, or with Escape.
  document.addEventListener("click", ({ target }) => {
    for (const menu of document.querySelectorAll("details.menu[open], .more > details[open]")) {
      if (!menu.contains(target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open], .more > details[open]")) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  });
}

function keepFocus(element) {
  const link = element.getAttribute("href");
  const name = element.getAttribute("name");
  const wanted = element.id ? `#${CSS.escape(element.id)}` : link ? `a[href="${CSS.escape(link)}"]` : name && `[name="${CSS.escape(name)}"]`;
  if (!wanted) return;
  document.addEventListener("htmx:oobAfterSwap", () => document.querySelector(wanted)?.focus({ preventScroll: true }), { once: true });
}
