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

  const changed = (one) => one.matches("select")
    ? [...one.options].some((option) => option.selected !== option.defaultSelected)
    : one.value !== one.defaultValue;

  // What the reader opened stays open, what was typed stays typed, and the focus stays where it was.
  const replace = (text) => {
    const opened = new Map([...live.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const fields = [...live.querySelectorAll("input[id], select[id], textarea[id]")];
    const typed = new Map(fields.filter(changed).map((one) => [one.id, one.value]));
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = text;
    for (const one of live.querySelectorAll("details[id]")) if (opened.has(one.id)) one.open = opened.get(one.id);
    for (const [id, value] of typed) { const one = document.getElementById(id); if (one) one.value = value; }
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

  // A reader ends a scan with Enter: the next empty field, not the end of the form. A whole symbol is taken apart first.
  const scanned = (target) => target instanceof HTMLInputElement && target.hasAttribute("data-scan");
  const symbol = /^(\][A-Za-z]\d|[=&]|\(\d{2,4}\)|01\d{14})/;
  const onward = (field) => {
    const all = [...field.form.querySelectorAll("input:not([type=hidden]), select, textarea, button")];
    const rest = all.slice(all.indexOf(field) + 1).filter((one) => one.offsetParent !== null);
    (rest.find((one) => !one.value || one.matches("button")) ?? field).focus();
  };
  const takeApart = async (field) => {
    const sheet = new FormData(field.form);
    const answer = await fetch(`/forms/${field.form.dataset.form}/scan`, { method: "POST", body: new URLSearchParams(sheet) });
    if (!answer.ok) { say("The symbol could not be taken apart; the form will do it when it is sent."); return true; }
    const { values, errors } = await answer.json();
    for (const [name, text] of Object.entries(values)) field.form.elements[name].value = text;
    const wrong = Object.entries(errors);
    for (const one of field.form.querySelectorAll("[data-scan]")) one.setCustomValidity(errors[one.name] ?? "");
    if (!wrong.length) { say(`Scanned: ${Object.keys(values).length} fields filled in.`); return true; }
    const at = field.form.elements[wrong[0][0]];
    at.focus();
    at.reportValidity();
    say(wrong.map(([, text]) => text).join(" "));
    return false;
  };
  document.addEventListener("keydown", async (event) => {
    const field = event.target;
    if (!scanned(field)) return;
    if (event.ctrlKey && event.key === "]") {  // the group separator, as readers type it
      event.preventDefault();
      field.setRangeText("\u241d", field.selectionStart, field.selectionEnd, "end");
      return;
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    field.value = field.value.trim();
    if (!symbol.test(field.value) || await takeApart(field)) onward(field);
  });
  document.addEventListener("input", (event) => { if (scanned(event.target)) event.target.setCustomValidity(""); });

  const errors = document.getElementById("errors");
  (errors ?? document.querySelector("form.sheet [data-scan]"))?.focus();
})();
