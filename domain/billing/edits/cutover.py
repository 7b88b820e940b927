"""Edits on claims of an imported encounter: nothing is billed twice (design section 4, corrections C5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.billing.edits.review import ClaimReview
from domain.billing.model import Edit, Letter
from domain.billing.prior_system_claims import billed_elsewhere


def folded_elsewhere(review: ClaimReview) -> Iterator[Edit]:
    """Services of this stay, or of its payment window, on a claim that another system sent."""
    if review.services.stay is None:
        return
    for one in review.services.elsewhere:
        detail = f"Claim {one.letter} of {one.statement_from.isoformat()} to {one.statement_through.isoformat()}"
        yield review.found("billed_elsewhere_folds", "statement period", detail)


def overlaps_elsewhere(review: ClaimReview) -> Iterator[Edit]:
    """An inpatient claim over days of a claim of another system; discharge and admission on one day do not overlap."""
    mine = review.claim
    for ordinal, one in billed_elsewhere(review.context.record):
        if one.state == "voided" or not review.services.inpatient or one.setting.value != "inpatient":
            continue
        if max(mine.statement_from, one.statement_from) < min(mine.statement_through, one.statement_through):
            detail = f"with Claim {one.letter} {ordinal} of the prior system"
            yield review.found("overlapping_claims", "statement period", detail)


def outpatient_elsewhere(review: ClaimReview) -> Iterator[Edit]:
    """A service of a day that an outpatient claim of another system and the same owner bills under another letter."""
    if review.services.inpatient:
        return
    for ordinal, one in billed_elsewhere(review.context.record):
        if one.letter == review.claim.letter or one.setting.value == "inpatient":
            continue
        days = sorted({line.date_of_service for line in review.claim.lines if one.bills(line.date_of_service)})
        if days and review.context.same_owner_group(one.facility, review.claim.facility):
            listed = ", ".join(day.isoformat() for day in days)
            yield review.found("same_day_elsewhere", "service date", f"{listed}, Claim {one.letter} {ordinal}")


def unknown(review: ClaimReview) -> Iterator[Edit]:
    """A service before the cutover for which the import does not state whether another system billed it."""
    cutover = review.context.record.cutover
    if cutover is None:
        return
    said = set(cutover.data.not_billed)
    open_letters = sorted({letter for letter, at in _services(review) if at <= cutover.data.at and letter not in said})
    if open_letters:
        yield review.found("cutover_billing_unknown", "claim", f"Claim {', '.join(open_letters)}")


def _services(review: ClaimReview) -> Iterator[tuple[Letter, datetime]]:
    """Each service with the letter it would have been billed under; services of a stay count at its end."""
    services, stay = review.services, review.services.stay
    if stay is not None and stay.ended_at is not None:
        yield services.letter, stay.ended_at
    given: list[tuple[Letter, datetime]] = [("A", fact.data.started_at) for fact in services.collections]
    given += [("B", fact.data.started_at) for fact in services.doses]
    given += [("C", infusion.started_at) for infusion in services.infusions]
    given += [(services.letter, fact.data.at) for fact in services.medications]
    yield from (one for one in given if stay is None or not stay.covers(one[1]))


CHECKS = (folded_elsewhere, overlaps_elsewhere, outpatient_elsewhere, unknown)
