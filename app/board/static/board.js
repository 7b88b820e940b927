// Optional: refreshes pages and moves a barcode scanner through the fields of a form. Every page works without it.
"use strict";
(() => {
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  const report = (text) => { announce.textContent = text; };
  const summary = () => live.querySelector("[data-summary]")?.dataset.summary ?? "";

  const typing = () => {
    const focused = document.activeElement;
    return live.contains(focused) && focused.matches("input, select, textarea");
  };

  const changed = (one) => one.matches("select")
    ? [...one.options].some((option) => option.selected !== option.defaultSelected)
    : one.value !== one.defaultValue;

  // Without activity the page is covered. What was typed stays underneath: a form is sent to the sign-in, which keeps it.
  const idle = Number(document.body.dataset.idle ?? 0) * 1000;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("cart-activity") : null;
  let covered = false;
  const cover = () => {
    if (covered) return;
    covered = true;
    document.title = "Signed out · CAR-T encounters";
    const sheet = document.querySelector("form.sheet[method=post]:has([name=form_id])");
    const made = document.createElement("div");
    made.className = "cover";
    made.tabIndex = -1;
    made.setAttribute("role", "alert");
    const said = document.createElement("p");
    said.textContent = `Covered after a time without activity.${sheet ? " What you typed is kept." : ""}`;
    const link = document.createElement("a");
    link.href = `/sign-in?why=idle&next=${encodeURIComponent(location.pathname)}`;
    link.textContent = "Sign in";
    if (sheet) link.addEventListener("click", (event) => {
      event.preventDefault();
      const resume = document.createElement("input");  // the form is shown again, never entered
      resume.type = "hidden"; resume.name = "resume"; resume.value = "yes";
      sheet.append(resume);
      sheet.submit();
    });
    made.append(said, link);
    document.body.append(made);
    document.body.classList.add("covered");
    made.focus();
  };
  if (idle) {
    const often = Math.min(60000, idle / 4);
    const secret = document.querySelector("[name=csrf]").value;
    let acted = Date.now(), renewed = acted;
    const keep = async () => {
      renewed = Date.now();
      try {
        const response = await fetch("/session", { method: "POST", body: new URLSearchParams({ csrf: secret }) });
        if (response.status === 401 || response.status === 403) cover();
      } catch { /* The server may be away; the page is covered in time all the same. */ }
    };
    const check = () => {
      const now = Date.now();
      if (covered) return;
      if (now - acted >= idle) cover();
      else if (acted > renewed && now - renewed >= often) keep();
    };
    const act = () => {
      check();
      if (covered) return;
      if (Date.now() - acted > 1000) tabs?.postMessage("active");
      acted = Date.now();
    };
    for (const kind of ["keydown", "input", "pointerdown", "pointermove", "wheel"])
      document.addEventListener(kind, act, { capture: true, passive: true });
    if (tabs) tabs.onmessage = () => { if (!covered) acted = Math.max(acted, renewed = Date.now()); };
    document.addEventListener("visibilitychange", check);
    setInterval(check, Math.min(1000, often));
  }

  // Keeps opened details, typed text and the focus.
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
    if (document.hidden || typing() || covered) return;
    let response;
    try {
      response = await fetch(`${location.pathname}?part=live`, { credentials: "same-origin", cache: "no-store" });
    } catch {
      report("The server does not respond. This page may be out of date.");
      return;
    }
    if (response.status === 401) { cover(); return; }
    if (response.status === 404 || response.status === 403) { location.reload(); return; }  // no longer this person's to read
    if (!response.ok) { report("The page could not be refreshed. It may be out of date."); return; }
    const text = await response.text();
    if (typing() || covered) return;
    if (text !== last) {
      const before = summary();
      replace(text);
      last = text;
      if (summary() !== before) report(`Updated: ${summary()}`);
    }
    if (announce.textContent.startsWith("The ")) report("");
    document.documentElement.dataset.refreshed = String(Number(document.documentElement.dataset.refreshed ?? 0) + 1);
  };
  const every = Number(live?.dataset.refresh ?? 0);
  if (every) {
    setInterval(refresh, every * 1000);
    document.addEventListener("visibilitychange", refresh);
  }

  // A scanner ends a scan with Enter: go to the next empty field. A whole barcode is first split into its fields.
  const scanned = (target) => target instanceof HTMLInputElement && target.hasAttribute("data-scan");
  const barcode = /^(\][A-Za-z]\d|[=&]|\(\d{2,4}\)|01\d{14})/;
  const onward = (field) => {
    const all = [...field.form.querySelectorAll("input:not([type=hidden]), select, textarea, button")];
    const rest = all.slice(all.indexOf(field) + 1).filter((one) => one.offsetParent !== null);
    (rest.find((one) => !one.value || one.matches("button")) ?? field).focus();
  };
  const splitBarcode = async (field) => {
    const sheet = new FormData(field.form);
    const response = await fetch(`/forms/${field.form.dataset.form}/scan`, { method: "POST", body: new URLSearchParams(sheet) });
    if (!response.ok) { report("The barcode could not be read yet. It is read when the form is entered."); return true; }
    const { values, errors } = await response.json();
    for (const [name, text] of Object.entries(values)) field.form.elements[name].value = text;
    const wrong = Object.entries(errors);
    for (const one of field.form.querySelectorAll("[data-scan]")) one.setCustomValidity(errors[one.name] ?? "");
    if (!wrong.length) { report(`Scanned: ${Object.keys(values).length} fields filled in.`); return true; }
    const at = field.form.elements[wrong[0][0]];
    at.focus();
    at.reportValidity();
    report(wrong.map(([, text]) => text).join(" "));
    return false;
  };
  document.addEventListener("keydown", async (event) => {
    const field = event.target;
    if (!scanned(field)) return;
    if (event.ctrlKey && event.key === "]") {  // the group separator, as scanners type it
      event.preventDefault();
      field.setRangeText("\u241d", field.selectionStart, field.selectionEnd, "end");
      return;
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    field.value = field.value.trim();
    if (!barcode.test(field.value) || await splitBarcode(field)) onward(field);
  });
  document.addEventListener("input", (event) => { if (scanned(event.target)) event.target.setCustomValidity(""); });

  const errors = document.getElementById("errors");
  (errors ?? document.querySelector("form.sheet [data-scan]"))?.focus();
})();
