// Without this file every page works; with it pages follow what happens and a barcode reader leads through a form.
"use strict";
(() => {
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  const say = (text) => { announce.textContent = text; };
  const summary = () => live.querySelector("[data-summary]")?.dataset.summary ?? "";

  const typing = () => {
    const focused = document.activeElement;
    return live.contains(focused) && focused.matches("input, select, textarea");
  };

  // What the reader opened stays open, and the focus stays where it was.
  const replace = (text) => {
    const opened = new Map([...live.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = text;
    for (const one of live.querySelectorAll("details[id]")) if (opened.has(one.id)) one.open = opened.get(one.id);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  let last = null;
  const refresh = async () => {
    if (document.hidden || typing()) return;
    let answer;
    try {
      answer = await fetch(`${location.pathname}?part=live`, { credentials: "same-origin", cache: "no-store" });
    } catch {
      say("The server does not answer; what is shown may be old.");
      return;
    }
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) { say("The page could not be refreshed; what is shown may be old."); return; }
    const text = await answer.text();
    if (typing()) return;
    if (text !== last) {
      const before = summary();
      replace(text);
      last = text;
      if (summary() !== before) say(`Updated: ${summary()}`);
    }
    if (announce.textContent.startsWith("The ")) say("");
    document.documentElement.dataset.refreshed = String(Number(document.documentElement.dataset.refreshed ?? 0) + 1);
  };
  const every = Number(live?.dataset.refresh ?? 0);
  if (every) {
    setInterval(refresh, every * 1000);
    document.addEventListener("visibilitychange", refresh);
  }

  // A reader ends a scan with Enter: the next field, not the end of the form.
  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (event.key !== "Enter" || !(field instanceof HTMLInputElement) || !field.hasAttribute("data-scan")) return;
    event.preventDefault();
    field.value = field.value.trim();
    const all = [...field.form.querySelectorAll("input:not([type=hidden]), select, textarea, button")];
    all.slice(all.indexOf(field) + 1).find((one) => one.offsetParent !== null)?.focus();
  });

  const errors = document.getElementById("errors");
  (errors ?? document.querySelector("form.sheet [data-scan]"))?.focus();
})();
