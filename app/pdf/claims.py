"""Claims in the PDF: lines with their rules, diagnoses, procedures and payer responses."""

from __future__ import annotations

from collections.abc import Iterator

from reportlab.platypus import Flowable

from app.pdf.fonts_styles import BODY, NOTE, SMALL_HEADING, heading, para
from app.pdf.references import References
from app.pdf.tables import table
from domain.billing.model import Line
from domain.packet import Packet
from domain.packet.model import BilledClaim, ClaimResponse


def claims(packet: Packet, refs: References) -> Iterator[Flowable]:
    """Yields every current claim."""
    yield from heading("Claims")
    if not packet.claims:
        yield para("No claims yet.", BODY)
    for claim in packet.claims:
        yield from _claim(claim, refs)


def _claim(claim: BilledClaim, refs: References) -> Iterator[Flowable]:
    bill = f", type of bill {claim.type_of_bill}" if claim.type_of_bill else ""
    yield from heading(f"Claim {claim.key}: {claim.state.replace('_', ' ')}, ${claim.total:,.2f}", SMALL_HEADING)
    number = f", number {claim.control_number}" if claim.control_number else ""
    group = f", MS-DRG {claim.drg}" if claim.drg else ""
    yield para(
        f"{claim.form}{bill}, {claim.statement_from} to {claim.statement_through}, version {claim.version},"
        f" frequency {claim.frequency}{number}{group}.",
        BODY,
    )
    if claim.elsewhere:
        yield para("Billed by another system before the cutover; shown as attested.", BODY)
    if claim.lines:
        heads = ("#", "Service", "Rev.", "HCPCS", "Units", "Charge", "Date", "Rule, source", "Records")
        yield table(heads, (0.35, 2.6, 0.6, 1, 0.6, 1.1, 1, 2.4, 1.1), [_line(line, refs) for line in claim.lines])
    codes = [
        *(f"{d.role} diagnosis {d.code}{f' (POA {d.poa})' if d.poa else ''}" for d in claim.diagnoses),
        *(f"{p.role} procedure {p.code} on {p.date}" for p in claim.procedures),
        *(f"{c.kind.replace('_', ' ')} code {c.code}{f' ${c.amount:,.2f}' if c.amount else ''}" for c in claim.codes),
    ]
    if codes:
        yield para(f"Codes: {'; '.join(codes)}.", BODY)
    for text in (*claim.folded, *claim.advisories):
        yield para(text, NOTE)
    for edit in claim.edits:
        yield para(f"{edit.severity.value.capitalize()}: {edit.message}. {edit.fix}", NOTE)
    if claim.answers:
        yield _answers(claim, refs)


def _answers(claim: BilledClaim, refs: References) -> Flowable:
    heads = ("Response", "Date", "Status", "Paid", "Patient", "Adjustments", "Remarks", "Records")
    rows = [_answer(one, refs) for one in claim.answers]
    return table(heads, (0.8, 1.5, 1.4, 1.1, 1, 2.2, 1, 0.7), rows)


def _line(line: Line, refs: References) -> tuple[object, ...]:
    return (
        line.number,
        line.description,
        line.revenue_code,
        " ".join((line.hcpcs or "–", *line.modifiers)),
        line.units,
        f"{line.charge:,.2f}",
        line.date_of_service,
        f"{line.reason.rule} ({line.reason.citation})",
        refs.of(line.reason.events),
    )


def _answer(one: ClaimResponse, refs: References) -> tuple[object, ...]:
    status = "accepted" if one.accepted else "rejected"
    if one.kind == "835":
        status = f"status {one.status}"
    return (
        one.kind,
        f"{one.at:%Y-%m-%d %H:%M %z}",
        " ".join((status, *one.codes)),
        f"{one.paid:,.2f}" if one.kind == "835" else "",
        f"{one.patient:,.2f}" if one.kind == "835" else "",
        ", ".join(f"{a.group}-{a.carc} {a.amount:,.2f}" for a in one.adjustments),
        " ".join(one.remarks),
        refs.of((one.event,)),
    )
