"""A claim as an HTML page for review: the form in its printed order, then the reason for each value.

The drawing is our own, not official form art. Values in the vault are named, never shown, so no person can be identified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from domain.billing.model import Claim, CodedValue, Edit, Form, Line, Reason
from domain.billing.submission.model import ORIGINAL, REPLACEMENT, VOID

STYLE = """
body{font:14px system-ui,sans-serif;margin:1.5rem;max-width:72rem;color:#111;background:#fff}
h1{font-size:1.2rem}h2{font-size:1rem;margin:1.4rem 0 .4rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:0;margin:0;border:1px solid #666}
dl div{border:1px solid #bbb;padding:.2rem .4rem}dt{font-size:.72rem;color:#444}dd{margin:0;min-height:1.2em}
table{border-collapse:collapse;width:100%;margin:0}caption{text-align:left;font-weight:600;padding:.3rem 0}
td,th{border:1px solid #999;padding:.2rem .4rem;text-align:left;vertical-align:top}
.n{text-align:right;white-space:nowrap}.quiet{color:#444}.error{color:#900;font-weight:600}.vault{color:#555;font-style:italic}
.wide{overflow-x:auto}
"""
"""The whole style of the page; a content security policy allows it by its hash."""
_LINES_AT = {Form.UB04: 42, Form.CMS1500: 24}
"""The number of the field where the service lines begin on the form."""
_REFERENCES = {Form.UB04: ("FL 64", "document control number"), Form.CMS1500: ("22", "original reference number")}
"""Where a replacement or void names the payer's number of what it refers to (NUBC UB-04 manual; NUCC 1500 manual)."""
_PLACE = re.compile(r"(\d+)\s*([a-zA-Z]*)")
_OFF_FORM = 999
_PURPOSES = {
    REPLACEMENT: "Replaces what the payer has (frequency 7).",
    VOID: "Voids what the payer has (frequency 8).",
}


@dataclass(frozen=True, slots=True)
class _Box:
    """One field of the form. With `vault`, only the vault holds the value."""

    field: str
    name: str
    value: str
    vault: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the service lines: the value whose field heads it."""

    value: str
    name: str
    number: bool = False


_COLUMNS = {
    Form.UB04: (
        _Column("revenue_code", "revenue code"),
        _Column("description", "description, NDC"),
        _Column("hcpcs", "code and modifiers"),
        _Column("service_date", "service date"),
        _Column("units", "units", True),
        _Column("charge", "charge", True),
    ),
    Form.CMS1500: (
        _Column("service_date", "service date"),
        _Column("place_of_service", "place"),
        _Column("hcpcs", "code and modifiers"),
        _Column("description", "description, NDC"),
        _Column("diagnosis_pointer", "diagnoses"),
        _Column("charge", "charge", True),
        _Column("units", "units", True),
    ),
}


@dataclass(frozen=True, slots=True)
class Issue:
    """The version of a claim that is drawn: its number (CLM01, None while held), its frequency (CLM05-3) and its state.

    `refers_to` is the payer's number of the claim that it replaces or voids (REF*F8), None while the payer has not reported it.
    """

    control_number: str | None = None
    frequency: str = ORIGINAL
    state: str = ""
    refers_to: str | None = None


def form_view(claim: Claim, issue: Issue = Issue()) -> str:
    """The page of one claim, complete in itself: no script, no file beside it."""
    title = f"Claim {claim.letter}{claim.ordinal} · {claim.form.value}"
    boxes = sorted(_boxes(claim, issue), key=lambda box: _place(box.field))
    before = [box for box in boxes if _place(box.field)[0] < _LINES_AT[claim.form]]
    parts = (
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_state(claim, issue))}</p>",
        "<h2>The form</h2>",
        _drawn(before),
        _lines(claim),
        _drawn([box for box in boxes if box not in before]),
        _findings(claim.edits),
        _why_lines(claim),
        _why_codes(claim),
        _list("Folding", claim.folded),
        _list("Advisories", claim.advisories),
        f"<p class=quiet>edition {escape(claim.edition)}, rulebook {escape(claim.rulebook_digest[:12])}</p>",
    )
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body><main>{''.join(parts)}</main></body></html>\n"


def _state(claim: Claim, issue: Issue) -> str:
    if not claim.ready:
        return f"Waiting for {', '.join(claim.waiting_for)}."
    said = f"Held by {len(claim.errors)} errors." if claim.errors else "Due, no errors."
    return " ".join(filter(None, (_PURPOSES.get(issue.frequency), said, issue.state and f"State: {issue.state}.")))


def _place(field: str) -> tuple[int, str]:
    """The position of a field on the form: its number, then its letter; last where the form has no place for it."""
    found = _PLACE.search(field)
    return (int(found[1]), found[2].lower()) if found else (_OFF_FORM, field)


def _boxes(claim: Claim, issue: Issue) -> Iterator[_Box]:
    for field in claim.fields:
        value, vault = field.vault or field.value or "", field.vault is not None
        if field.reason.rule.endswith(".type_of_bill"):
            value = f"{value[:2]}{issue.frequency}"
        elif field.reason.rule.endswith(".patient_control_number") and issue.control_number:
            value, vault = issue.control_number, False
        yield _Box(field.field, field.name, value, vault)
    if issue.frequency != ORIGINAL:
        if claim.form is Form.CMS1500:
            yield _Box("22", "resubmission code", issue.frequency)
        yield _Box(*_REFERENCES[claim.form], issue.refers_to or "not reported by the payer yet")
    for diagnosis in claim.diagnoses:
        marked = f"{diagnosis.code} ({diagnosis.poa} on admission)" if diagnosis.poa else diagnosis.code
        yield _Box(diagnosis.field, f"{diagnosis.role} diagnosis", marked)
    for done in claim.procedures:
        yield _Box(done.field, f"{done.role} procedure", f"{done.code} on {done.date.isoformat()}")
    for one in claim.codes:
        yield _Box(one.field, f"{one.kind.replace('_', ' ')} code", _coded(one))


def _coded(value: CodedValue) -> str:
    days = " to ".join(day.isoformat() for day in (value.date, value.through) if day)
    amount = f"{value.amount:,}" if value.amount is not None else ""
    return " ".join(filter(None, (value.code, amount, days)))


def _drawn(boxes: Iterable[_Box]) -> str:
    drawn = "".join(
        f"<div><dt>{escape(box.field)} {escape(box.name)}</dt><dd{' class=vault' if box.vault else ''}>"
        f"{'in the vault: ' if box.vault else ''}{escape(box.value)}</dd></div>"
        for box in boxes
    )
    return f"<dl>{drawn}</dl>" if drawn else ""


def _lines(claim: Claim) -> str:
    columns = _COLUMNS[claim.form]
    fields = claim.lines[0].fields if claim.lines else {}
    heads = (f"{fields.get(column.value, '')} {column.name}".strip() for column in columns)
    top = "".join(f"<th scope=col>{escape(head)}</th>" for head in ("line", *heads))
    rows = "".join(f"<tr><td class=n>{line.number}</td>{_cells(claim, line)}</tr>" for line in claim.lines)
    total = f"<tr><td colspan={len(columns) + 1} class=n>total {claim.total:,.2f}</td></tr>"
    head = "<caption>Service lines</caption><thead><tr>"
    return f"<div class=wide><table>{head}{top}</tr></thead><tbody>{rows}{total}</tbody></table></div>"


def _cells(claim: Claim, line: Line) -> str:
    drug = f"N4{line.ndc} {line.ndc_unit}{line.ndc_quantity}" if line.ndc else ""
    values = {
        "revenue_code": line.revenue_code or "",
        "description": " · ".join(filter(None, (line.description, drug))),
        "hcpcs": " ".join(filter(None, (line.hcpcs, *line.modifiers))),
        "service_date": line.date_of_service.isoformat(),
        "place_of_service": claim.place_of_service or "",
        "diagnosis_pointer": "".join(chr(ord("A") + pointer - 1) for pointer in line.diagnosis_pointers),
        "units": f"{line.units} {line.unit_of_measure}",
        "charge": f"{line.charge:,.2f}",
    }
    return "".join(
        f"<td{' class=n' if column.number else ''}>{escape(values[column.value])}</td>"
        for column in _COLUMNS[claim.form]
    )


def _why_lines(claim: Claim) -> str:
    rows = [(str(line.number), line.hcpcs or line.revenue_code or "", *_why(line.reason)) for line in claim.lines]
    return _table("Why each line", ("line", "code", "because", "rule", "events"), rows)


def _why_codes(claim: Claim) -> str:
    """Why diagnoses, procedures and coded values are on the claim."""
    rows = [(d.field, d.code, *_why(d.reason)) for d in claim.diagnoses]
    rows += [(p.field, p.code, *_why(p.reason)) for p in claim.procedures]
    rows += [(c.field, c.code, *_why(c.reason)) for c in claim.codes]
    return _table("Why each code", ("field", "code", "because", "rule", "events"), rows)


def _why(reason: Reason) -> tuple[str, str, str]:
    return reason.text, f"{reason.rule} ({reason.citation})", ", ".join(reason.events)


def _findings(edits: Iterable[Edit]) -> str:
    rows = [
        (
            e.severity.value,
            e.field,
            e.message,
            e.fix,
            f"{e.citation}{f', denial {e.denial}' if e.denial else ''}",
            e.owner.replace("_", " "),
        )
        for e in edits
    ]
    return _table("Findings", ("severity", "field", "finding", "fix", "citation", "owner"), rows)


def _table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td{_mark(cell)}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    top = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    return f"<h2>{escape(title)}</h2><div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _mark(cell: str) -> str:
    return " class=error" if cell == "error" else ""


def _list(title: str, texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>" if items else ""
