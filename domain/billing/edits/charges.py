"""Edits on posted charges: codes that must never be billed, charges of the manufacture, charges without a service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.billing.edits.review import Case
from domain.billing.model import Claim, Edit
from domain.encounter.facts import Fact
from domain.events.revenue import ChargePosted
from domain.rulebook.rows import Code, Product


def never_billed(case: Case) -> Iterator[Edit]:
    """Codes that no claim of the encounter may carry, on its lines or among its posted charges."""
    billed = {line.hcpcs for line in case.claim.lines} | {fact.data.hcpcs for fact in _owned(case)}
    for role, edit in (
        ("forbidden_allogeneic_collection", "allogeneic_collection"),
        ("forbidden_foreign", "foreign_code"),
    ):
        if found := billed & _every(case, role):
            yield case.found(edit, "service code", ", ".join(sorted(filter(None, found))))
    if (
        case.bundle.collections
        and not case.bundle.infusions
        and (found := billed & _every(case, "cell_administration"))
    ):
        yield case.found("administration_on_collection", "service code", ", ".join(sorted(filter(None, found))))
    others = {row.hcpcs for row in case.desk.rules.table(Product) if row.key != case.desk.product}
    if found := billed & (others - {case.desk.product_row(case.bundle.first).hcpcs}):
        yield case.found("wrong_product_code", "service code", ", ".join(sorted(filter(None, found))))


def infusion_code(case: Case) -> Iterator[Edit]:
    """A drug infusion code posted for the infusion of the cells (G225)."""
    if not case.bundle.infusions:
        return
    days = {case.desk.day(i.started_at, i.facility) for i in case.bundle.infusions}
    explained = {line.hcpcs for line in case.draft.lines if line.on in days and line.service != "posted"}
    for fact in _owned(case):
        if fact.data.date in days and fact.data.hcpcs in _every(case, "forbidden_cell_infusion") - explained:
            yield case.found(
                "infusion_code_on_cells", "service code", f"{fact.data.hcpcs} of {fact.data.date.isoformat()}"
            )


def without_service(case: Case) -> Iterator[Edit]:
    """Charges that stand on no claim: of the manufacture an error, of another day or service a warning."""
    known = {row.code for row in case.desk.codes("evaluation", case.bundle.first)}
    for fact in _owned(case):
        if fact.event_id in case.used:
            continue
        named = f"{fact.data.hcpcs or fact.data.revenue_code} of {fact.data.date.isoformat()}"
        if _during_manufacture(case, fact.data.date):
            yield case.found("stage_two_charge", "service date", named)
        elif fact.data.hcpcs in known:
            yield case.found("evaluation_not_documented", "service code", named)
        else:
            yield case.found("unmatched_charge", "service date", named)


def room_days(case: Case) -> Iterator[Edit]:
    """Posted room days against the midnights of the stay."""
    stay = case.bundle.stay
    if stay is None or (out := case.desk.discharged_on(stay)) is None:
        return
    days = max(1, (out - case.desk.admitted_on(stay)).days)
    billed = sum(line.units for line in case.claim.lines if line.service == "room_and_board")
    if billed and billed != days:
        yield case.found("room_days", "units", f"{billed} posted, {days} in the stay")


def _owned(case: Case) -> list[Fact[ChargePosted]]:
    """The posted charges this claim answers for: those of its stay, and those of its days."""
    stay = case.bundle.stay
    return [
        fact
        for fact in case.desk.record.charges
        if (stay is not None and fact.data.admission_id == stay.id)
        or (case.desk.stay_of(fact.data) is None and _owner(case, fact.data.date).key == case.claim.key)
    ]


def _owner(case: Case, on: date) -> Claim:
    """The claim whose days hold the charge; else the last one before it; else the first."""
    within = [claim for claim in case.siblings if claim.statement_from <= on <= claim.statement_through]
    before = [claim for claim in case.siblings if claim.statement_through < on]
    latest = sorted(before, key=lambda claim: (claim.statement_through, claim.key))[-1:]
    return (within or latest or list(case.siblings))[0]


def _during_manufacture(case: Case, on: date) -> bool:
    """After a collection and before the next documented service: nothing is billed then (G95)."""
    desk = case.desk
    collected = [desk.day(fact.data.started_at, fact.data.facility) for fact in desk.record.collections]
    if not any(day < on for day in collected) or on in collected:
        return False
    later = [desk.day(fact.data.started_at, fact.data.facility) for fact in desk.record.lymphodepletion]
    later += [desk.admitted_on(stay) for stay in desk.record.stays]
    later += [desk.day(infusion.started_at, infusion.facility) for infusion in desk.record.infusions]
    latest = max(day for day in collected if day < on)
    return not any(latest < day <= on for day in later)


def _every(case: Case, role: str) -> set[str | None]:
    """Every code of the role, of whichever date."""
    return {row.code for row in case.desk.rules.table(Code) if row.role == role}


CHECKS = (never_billed, infusion_code, without_service, room_days)
