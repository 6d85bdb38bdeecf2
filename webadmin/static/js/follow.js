/* A log that is read at its end stays at its end; whoever scrolled up is left where they are. */

export function startFollowing() {
  const log = () => document.querySelector("[data-follow-end]");
  const place = log();
  if (!place) return;
  place.scrollTop = place.scrollHeight;
  let atEnd = true;
  let top = 0;
  document.addEventListener("htmx:oobBeforeSwap", () => {
    const old = log();
    top = old.scrollTop;
    atEnd = old.scrollTop + old.clientHeight >= old.scrollHeight - 40;
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    const fresh = log();
    fresh.scrollTop = atEnd ? fresh.scrollHeight : top;
  });
}
