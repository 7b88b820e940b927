"""Edits on lymphodepletion against the label's regimen (denial 7, corrections A1). Compares; never computes an order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from domain.billing.build import administration
from domain.billing.build.drugs import given_of
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Edit
from domain.encounter.facts import Fact
from domain.events.care import LymphodepletionAdministered
from domain.rulebook.rows import Indication, Regimen

_PERCENT = Decimal(100)
_MOSTELLER = Decimal(3600)


def doses(review: ClaimReview) -> Iterator[Edit]:
    """A dose of another indication, or one outside the tolerance of the regimen."""
    own = _regimen(review, review.context.indication)
    if own is None:
        return
    others = [found for key in _other_indications(review) if (found := _regimen(review, key))]
    for fact in review.services.doses:
        if not _planned(own, fact) or _fits(review, own, fact):
            continue
        named = f"{fact.data.drug} of {fact.data.date.isoformat()}"
        if any(_fits(review, other, fact) for other in others):
            yield review.found("regimen_wrong_indication", "units", named)
        else:
            yield review.found("regimen_dose", "units", named)


def extra_doses(review: ClaimReview) -> Iterator[Edit]:
    """More doses of a drug in one course than the label's regimen: a safety question before a billing question."""
    own = _regimen(review, review.context.indication)
    for plan in own.doses if own else ():
        mine = [fact for fact in review.services.doses if fact.data.drug == plan.drug]
        given = len(_course(review, mine[0])) if mine else 0
        if given > len(plan.days):
            yield review.found("regimen_extra_dose", "units", f"{plan.drug}: {given} doses, label {len(plan.days)}")


def overlapping(review: ClaimReview) -> Iterator[Edit]:
    """Two chemotherapy infusions charted at the same time."""
    if administration.overlap([given_of(fact) for fact in review.services.doses]):
        yield review.found("overlapping_infusions", "service date")


def _regimen(review: ClaimReview, indication: str) -> Regimen | None:
    on = review.services.first
    row = review.context.rules.maybe(Indication, on, product=review.context.product, key=indication)
    return review.context.rules.maybe(Regimen, on, key=row.regimen) if row and row.regimen else None


def _other_indications(review: ClaimReview) -> list[str]:
    rows = review.context.rules.find(Indication, review.services.first, product=review.context.product)
    return [row.key for row in rows if row.key != review.context.indication]


def _planned(regimen: Regimen, fact: Fact[LymphodepletionAdministered]) -> bool:
    return any(plan.drug == fact.data.drug for plan in regimen.doses)


def _fits(review: ClaimReview, regimen: Regimen, fact: Fact[LymphodepletionAdministered]) -> bool:
    surface = _surface(review)
    for plan in regimen.doses:
        expected = plan.mg_per_m2 * surface
        tolerance = expected * regimen.dose_tolerance_percent / _PERCENT
        if plan.drug == fact.data.drug and abs(fact.data.dose_mg - expected) <= tolerance:
            return True
    return False


def _surface(review: ClaimReview) -> Decimal:
    """Body surface in square meters: as referred, else by Mosteller from height and weight."""
    data = review.context.referral.data
    if data.bsa_m2 is not None:
        return data.bsa_m2
    return ((data.height_cm or Decimal(0)) * data.weight_kg / _MOSTELLER).sqrt()


def _course(review: ClaimReview, of: Fact[LymphodepletionAdministered]) -> list[Fact[LymphodepletionAdministered]]:
    """Every dose of the same drug in the same course, on any claim."""
    course: list[Fact[LymphodepletionAdministered]] = []
    for fact in review.context.record.lymphodepletion:
        if fact.data.drug != of.data.drug:
            continue
        if course and (fact.data.date - course[-1].data.date).days > review.context.gap_days:
            if of in course:
                return course
            course = []
        course.append(fact)
    return course


CHECKS = (doses, extra_doses, overlapping)
