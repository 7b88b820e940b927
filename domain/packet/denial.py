"""A denial packet: the guide's denials that fit the payer's reasons, what each requires to submit, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.billing.model import Claim
from domain.billing.submission import denials
from domain.billing.submission.payer_order import of_first
from domain.billing.submission.remittance import Remittance, remittance_of
from domain.billing.submission.responses import PayerResponse, payer_number
from domain.encounter.context import EncounterContext
from domain.encounter.facts import Fact
from domain.events.care import ToxicityAssessed
from domain.packet.billing import Version, responses_to
from domain.packet.model import (
    Certificate,
    Chain,
    Denied,
    FiledDocument,
    JudgedRequirement,
    JudgedStage,
    Named,
    Submission,
    Therapy,
)
from domain.rulebook.rows import Code, Denial, Payer
from domain.rulebook.rows import Submission as Row

Found = tuple[str, tuple[str, ...]]
"""A place in the packet, and the events it is based on."""


@dataclass(frozen=True)
class Exhibits:
    """The exhibits that submissions are searched in."""

    context: EncounterContext
    claim: Claim
    therapies: Sequence[Therapy]
    documents: Sequence[FiledDocument]
    judged_stages: Sequence[JudgedStage]
    certificates: Sequence[Certificate]
    chain: Chain


def refused(context: EncounterContext, version: Version, responses: Sequence[PayerResponse]) -> Remittance | None:
    """What the payer refused of a version; None when it refused nothing."""
    paid = remittance_of(responses_to(version, responses), context.rules, version.document.statement_through)
    return paid if paid.denied or paid.refused > 0 or paid.taken_back else None


def denied(
    context: EncounterContext, version: Version, responses: Sequence[PayerResponse], paid: Remittance, among: Exhibits
) -> Denied:
    """The content for an appeal. Reasons that fit no denial of the guide leave `denials` empty; the reasons are still listed."""
    claim, received = version.document, responses_to(version, responses)
    on = claim.statement_through
    last = paid.last or received[-1].at
    judged_on = context.day(last, claim.facility)
    payer = context.rules.maybe(Payer, on, key=claim.payer)
    codes = [diagnosis.code for diagnosis in claim.diagnoses]
    rows = denials.rows(context.rules, on, paid.refused_reasons, paid.remarks, codes, paid.refused_codes)
    submissions = tuple(_submission(row, among) for one in rows for row in _rows_of(context, one, claim))
    return Denied(
        claim=claim.key,
        version=version.version,
        control_number=version.control_number,
        payer_number=payer_number(of_first(received)),
        on=judged_on,
        state="denied" if paid.denied else "taken back" if paid.taken_back else "partly paid",
        total=claim.total,
        paid=paid.paid,
        refused=paid.refused,
        carc=tuple(sorted(paid.refused_reasons)),
        rarc=tuple(sorted(paid.remarks)),
        appeal_by=judged_on + timedelta(days=payer.appeal_days) if payer else None,
        denials=tuple(_named(row) for row in rows),
        submissions=submissions,
        missing=tuple(dict.fromkeys(one.missing for one in submissions if not one.held)),
    )


def _named(row: Denial) -> Named:
    return Named(
        number=row.number,
        title=row.title,
        cause=row.cause,
        fix=row.fix,
        rule=row.id,
        citation=row.citation,
        doubt=row.doubt,
    )


def _rows_of(context: EncounterContext, row: Denial, claim: Claim) -> Sequence[Row]:
    """What the fix of a denial requires to submit, for this indication, in order."""
    found = context.rules.find(Row, claim.statement_through, denial=row.number, indication=context.indication)
    return sorted(found, key=lambda one: one.number)


def _submission(row: Row, among: Exhibits) -> Submission:
    needs = [(need.partition(":")[0], need.partition(":")[2]) for need in row.needs]
    answers = [FINDERS[kind](among, name) for kind, name in needs]
    found = [answer for answer in answers if answer is not None]
    held = len(found) == len(answers)
    return Submission(
        denial=row.denial,
        title=row.title,
        held=held,
        where="; ".join(dict.fromkeys(where for where, _ in found)) if held else "",
        missing="" if held else f"{row.title}: {row.absent}",
        events=tuple(dict.fromkeys(event for _, events in found for event in events)),
        rule=row.id,
        citation=row.citation,
    )


def _document(among: Exhibits, kind: str) -> Found | None:
    events = tuple(one.event for one in among.documents if one.kind == kind)
    return ("Documents on file", events) if events else None


def _met(among: Exhibits, key: str) -> Found | None:
    """A gate requirement that was met at every gate that has it; an override does not make it met."""
    asked: list[JudgedRequirement] = [
        a for g in among.judged_stages for a in g.asked if a.key == key or a.key.startswith(f"{key}.")
    ]
    if not asked or not all(one.met for one in asked):
        return None
    return ("Requirements of the gates", tuple(dict.fromkeys(event for one in asked for event in one.events)))


def _certified(among: Exhibits, layer: str) -> Found | None:
    responses_to = [one for one in among.certificates if one.layer == layer]
    if not responses_to or not all(one.standing for one in responses_to):
        return None
    return ("Certificates", tuple(one.event for one in responses_to if one.event))


def _log(among: Exhibits, name: str) -> Found | None:
    """The therapy log, every line with dates, response and reason for stopping."""
    if not among.therapies or any(one.lacks for one in among.therapies):
        return None
    return ("Prior therapy log", tuple(dict.fromkeys(one.event for one in among.therapies)))


def _step(among: Exhibits, name: str) -> Found | None:
    events = tuple(link.event for link in among.chain.standing if link.step == name and link.event)
    return ("Chain of identity", events) if events else None


def _whole(among: Exhibits, name: str) -> Found | None:
    return ("Chain of identity", ()) if among.chain.verified and among.chain.links else None


def _doses(among: Exhibits, name: str) -> Found | None:
    doses = tuple(fact.event_id for fact in among.context.record.lymphodepletion)
    return ("Narrative, doses as charted", doses) if doses else None


def _assessed(among: Exhibits) -> Sequence[Fact[ToxicityAssessed]]:
    """The assessments of the days that the claim bills."""
    claim, context = among.claim, among.context
    days = (claim.statement_from, claim.statement_through)
    return [f for f in context.record.toxicities if days[0] <= context.day(f.occurred, claim.facility) <= days[1]]


def _grades(among: Exhibits, name: str) -> Found | None:
    graded = tuple(f.event_id for f in _assessed(among) if f.data.crs_grade or f.data.icans_grade)
    return ("Narrative, documented grades", graded) if graded else None


def _coded(among: Exhibits, name: str) -> Found | None:
    """The highest documented grade of each kind is among the claim's other diagnoses."""
    others = {d.code: d for d in among.claim.diagnoses if d.role == "other"}
    events: list[str] = []
    for role in ("crs", "icans"):
        highest = max((getattr(fact.data, f"{role}_grade") or 0 for fact in _assessed(among)), default=0)
        codes = among.context.rules.find(Code, among.claim.statement_through, role=role, grade=str(highest))
        responses_to = [others[row.code] for row in codes if row.code in others and row.grade == str(highest)]
        if highest and not responses_to:
            return None
        events += [event for one in responses_to for event in one.reason.events]
    return (f"Claim {among.claim.key}, other diagnoses", tuple(dict.fromkeys(events))) if events else None


def _label(among: Exhibits, name: str) -> Found | None:
    labels = tuple(infusion.last.event_id for infusion in among.context.record.given)
    return ("Chain of identity, label scanned at the bedside", labels) if labels else None


def _product_line(among: Exhibits, name: str) -> Found | None:
    """The product line with the HCPCS code and NDC of the product that was given."""
    row = among.context.product_row(among.claim.statement_through)
    lines = [one for one in among.claim.lines if row and one.hcpcs == row.hcpcs and one.ndc]
    events = tuple(dict.fromkeys(event for one in lines for event in one.reason.events))
    return (f"Claim {among.claim.key}, lines", events) if lines else None


def _procedure(among: Exhibits, name: str) -> Found | None:
    on = among.claim.statement_through
    rows = among.context.rules.find(Code, on, role="cell_administration_pcs", product=among.context.product)
    found = [p for p in among.claim.procedures if p.code in {row.code for row in rows}]
    events = tuple(dict.fromkeys(event for one in found for event in one.reason.events))
    return (f"Claim {among.claim.key}, procedures", events) if found else None


def _drg(among: Exhibits, name: str) -> Found | None:
    groups = among.context.rules.find(Code, among.claim.statement_through, role="car_t_drg")
    return (f"Claim {among.claim.key}, DRG", ()) if among.claim.drg in {row.code for row in groups} else None


FINDERS: Mapping[str, Callable[[Exhibits, str], Found | None]] = {
    "paper": _document,
    "met": _met,
    "certificate": _certified,
    "log": _log,
    "step": _step,
    "chain": _whole,
    "doses": _doses,
    "grades": _grades,
    "coded": _coded,
    "label": _label,
    "product_line": _product_line,
    "procedure": _procedure,
    "drg": _drg,
}
"""The finders of what a row may require, by the word before the colon."""
