"""A claim drawn for people who check by eye: the fields of its form, every line with its reason, the findings. HTML text.

Own drawing, no official art. What the vault holds is named, never shown, so the page holds no identity of a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from domain.claims.model import Claim, CodedValue, Edit, Line, Reason

_STYLE = """
body{font:14px system-ui,sans-serif;margin:1.5rem;max-width:70rem}
h1{font-size:1.2rem}h2{font-size:1rem;margin:1.2rem 0 .4rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:0;border:1px solid #888}
dl div{border:1px solid #ccc;padding:.25rem .4rem}dt{font-size:.7rem;color:#555}dd{margin:0;min-height:1.2em}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #bbb;padding:.2rem .4rem;text-align:left;vertical-align:top}
td.n{text-align:right}.why{color:#444;font-size:.85rem}.error{color:#a00}.vault{color:#777;font-style:italic}
"""


def form_view(claim: Claim) -> str:
    """The page of one claim, complete in itself: no script, no file beside it."""
    title = f"Claim {claim.letter}{claim.ordinal} · {claim.form.value}"
    parts = (
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_state(claim))}</p>",
        _fields(claim),
        _codes(claim),
        _lines(claim),
        _list("Folding", claim.folded),
        _findings(claim.edits),
        _list("Advisories", claim.advisories),
        f"<p class=why>edition {escape(claim.edition)}, rulebook {escape(claim.rulebook_digest[:12])}</p>",
    )
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _state(claim: Claim) -> str:
    if not claim.ready:
        return f"Waiting for {', '.join(claim.waiting_for)}."
    return f"Held by {len(claim.errors)} findings." if claim.errors else "Due, no errors."


def _fields(claim: Claim) -> str:
    boxes = []
    for field in claim.fields:
        value = (
            f"<span class=vault>in the vault: {escape(field.vault)}</span>"
            if field.vault
            else escape(field.value or "")
        )
        boxes.append(f"<div><dt>{escape(field.field)} {escape(field.name)}</dt><dd>{value}</dd></div>")
    remarks = f"<p>Remarks: {escape(claim.remarks)}</p>" if claim.remarks else ""
    return f"<h2>Form</h2><dl>{''.join(boxes)}</dl>{remarks}"


def _codes(claim: Claim) -> str:
    """Diagnoses, procedures and coded values, each with the field and the reason."""
    rows = [
        (d.field, f"{d.role} diagnosis", f"{d.code} {d.poa or ''}".strip(), _why(d.reason)) for d in claim.diagnoses
    ]
    rows += [
        (p.field, f"{p.role} procedure", f"{p.code} on {p.date.isoformat()}", _why(p.reason)) for p in claim.procedures
    ]
    rows += [(c.field, f"{c.kind.replace('_', ' ')} code", _coded(c), _why(c.reason)) for c in claim.codes]
    rows += [("", "MS-DRG", claim.drg, "")] if claim.drg else []
    return _table("Codes", ("field", "what", "value", "why"), rows) if rows else ""


def _coded(value: CodedValue) -> str:
    days = " to ".join(day.isoformat() for day in (value.date, value.through) if day)
    amount = f"{value.amount:,}" if value.amount is not None else ""
    return " ".join(filter(None, (value.code, amount, days)))


def _lines(claim: Claim) -> str:
    rows = [
        (
            str(line.number),
            line.revenue_code or "",
            " ".join(filter(None, (line.hcpcs, *line.modifiers))),
            line.description,
            line.date_of_service.isoformat(),
            f"{line.units} {line.unit_of_measure}",
            f"{line.charge:,.2f}",
            _explained(line),
        )
        for line in claim.lines
    ]
    rows.append(("", "", "", "total", "", "", f"{claim.total:,.2f}", ""))
    return _table("Lines", ("no", "revenue", "code", "service", "day", "units", "charge", "why"), rows)


def _explained(line: Line) -> str:
    drug = f" NDC {line.ndc}, {line.ndc_quantity} {line.ndc_unit}." if line.ndc else ""
    return f"{_why(line.reason)}{drug}"


def _why(reason: Reason) -> str:
    events = f" Events: {', '.join(reason.events)}." if reason.events else ""
    return f"{reason.text} {reason.rule} ({reason.citation}).{events}"


def _findings(edits: Iterable[Edit]) -> str:
    rows = [
        (
            e.severity.value,
            e.field,
            e.message,
            e.fix,
            f"{e.citation}{f', denial {e.denial}' if e.denial else ''}",
            e.owner,
        )
        for e in edits
    ]
    return _table("Findings", ("severity", "field", "finding", "cure", "citation", "owner"), rows) if rows else ""


def _table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _list(title: str, texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>" if items else ""
