"""Edits on posted charges: codes that must never be billed, charges for manufacturing, charges without a service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.billing.edits.review import ClaimReview
from domain.billing.model import Claim, Edit
from domain.encounter.facts import Fact
from domain.events.revenue import ChargePosted
from domain.rulebook.rows import Code, Product


def never_billed(review: ClaimReview) -> Iterator[Edit]:
    """Codes that no claim of the encounter may carry, on its lines or among its posted charges."""
    billed = {line.hcpcs for line in review.claim.lines} | {fact.data.hcpcs for fact in _owned(review)}
    for role, edit in (
        ("forbidden_allogeneic_collection", "allogeneic_collection"),
        ("forbidden_foreign", "foreign_code"),
    ):
        if found := billed & _every(review, role):
            yield review.found(edit, "service code", ", ".join(sorted(filter(None, found))))
    if (
        review.services.collections
        and not review.services.infusions
        and (found := billed & _every(review, "cell_administration"))
    ):
        yield review.found("administration_on_collection", "service code", ", ".join(sorted(filter(None, found))))
    others = {row.hcpcs for row in review.context.rules.table(Product) if row.key != review.context.product}
    if found := billed & (others - {review.context.product_row(review.services.first).hcpcs}):
        yield review.found("wrong_product_code", "service code", ", ".join(sorted(filter(None, found))))


def infusion_code(review: ClaimReview) -> Iterator[Edit]:
    """A drug infusion code posted for the infusion of the cells (G225)."""
    if not review.services.infusions:
        return
    days = {review.context.day(i.started_at, i.facility) for i in review.services.infusions}
    explained = {line.hcpcs for line in review.draft.lines if line.on in days and line.service != "posted"}
    for fact in _owned(review):
        if fact.data.date in days and fact.data.hcpcs in _every(review, "forbidden_cell_infusion") - explained:
            yield review.found(
                "infusion_code_on_cells", "service code", f"{fact.data.hcpcs} of {fact.data.date.isoformat()}"
            )


def without_service(review: ClaimReview) -> Iterator[Edit]:
    """Charges on no claim: an error for manufacturing, a warning for another day or service."""
    known = {row.code for row in review.context.codes("evaluation", review.services.first)}
    for fact in _owned(review):
        if fact.event_id in review.used:
            continue
        named = f"{fact.data.hcpcs or fact.data.revenue_code} of {fact.data.date.isoformat()}"
        if _during_manufacture(review, fact.data.date):
            yield review.found("stage_two_charge", "service date", named)
        elif fact.data.hcpcs in known:
            yield review.found("evaluation_not_documented", "service code", named)
        else:
            yield review.found("unmatched_charge", "service date", named)


def room_days(review: ClaimReview) -> Iterator[Edit]:
    """Posted room days against the midnights of the stay."""
    stay = review.services.stay
    if stay is None or (out := review.context.discharged_on(stay)) is None:
        return
    days = max(1, (out - review.context.admitted_on(stay)).days)
    billed = sum(line.units for line in review.claim.lines if line.service == "room_and_board")
    if billed and billed != days:
        yield review.found("room_days", "units", f"{billed} posted, {days} in the stay")


def _owned(review: ClaimReview) -> list[Fact[ChargePosted]]:
    """The posted charges checked on this claim: those of its stay, and those of its days."""
    stay = review.services.stay
    return [
        fact
        for fact in review.context.record.charges
        if (stay is not None and fact.data.admission_id == stay.id)
        or (review.context.stay_of(fact.data) is None and _owner(review, fact.data.date).key == review.claim.key)
    ]


def _owner(review: ClaimReview, on: date) -> Claim:
    """The claim whose days include the charge; else the last one before; else the first."""
    within = [claim for claim in review.siblings if claim.statement_from <= on <= claim.statement_through]
    before = [claim for claim in review.siblings if claim.statement_through < on]
    latest = sorted(before, key=lambda claim: (claim.statement_through, claim.key))[-1:]
    return (within or latest or list(review.siblings))[0]


def _during_manufacture(review: ClaimReview, on: date) -> bool:
    """After a collection and before the next documented service: nothing is billed then (G95)."""
    context = review.context
    collected = [context.day(fact.data.started_at, fact.data.facility) for fact in context.record.collections]
    if not any(day < on for day in collected) or on in collected:
        return False
    later = [context.day(fact.data.started_at, fact.data.facility) for fact in context.record.lymphodepletion]
    later += [context.admitted_on(stay) for stay in context.record.stays]
    later += [context.day(infusion.started_at, infusion.facility) for infusion in context.record.infusions]
    latest = max(day for day in collected if day < on)
    return not any(latest < day <= on for day in later)


def _every(review: ClaimReview, role: str) -> set[str | None]:
    """Every code of the role, of any date."""
    return {row.code for row in review.context.rules.table(Code) if row.role == role}


CHECKS = (never_billed, infusion_code, without_service, room_days)
