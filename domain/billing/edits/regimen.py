"""Edits on lymphodepletion against the label's regimen (denial 7, corrections A1). Compares; never computes an order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from domain.billing.build import administration
from domain.billing.build.drugs import given_of
from domain.billing.edits.review import Case
from domain.billing.model import Edit
from domain.encounter.facts import Fact
from domain.events.care import LymphodepletionAdministered
from domain.rulebook.rows import Indication, Regimen

_PERCENT = Decimal(100)
_MOSTELLER = Decimal(3600)


def doses(case: Case) -> Iterator[Edit]:
    """A dose that is another indication's, or departs from the regimen by more than its tolerance."""
    own = _regimen(case, case.desk.indication)
    if own is None:
        return
    others = [found for key in _other_indications(case) if (found := _regimen(case, key))]
    for fact in case.bundle.doses:
        if not _planned(own, fact) or _fits(case, own, fact):
            continue
        named = f"{fact.data.drug} of {fact.data.date.isoformat()}"
        if any(_fits(case, other, fact) for other in others):
            yield case.found("regimen_wrong_indication", "units", named)
        else:
            yield case.found("regimen_dose", "units", named)


def extra_doses(case: Case) -> Iterator[Edit]:
    """More doses of a drug in one course than the label's regimen has: a safety matter before it is a billing matter."""
    own = _regimen(case, case.desk.indication)
    for plan in own.doses if own else ():
        mine = [fact for fact in case.bundle.doses if fact.data.drug == plan.drug]
        given = len(_course(case, mine[0])) if mine else 0
        if given > len(plan.days):
            yield case.found("regimen_extra_dose", "units", f"{plan.drug}: {given} doses, label {len(plan.days)}")


def overlapping(case: Case) -> Iterator[Edit]:
    """Two chemotherapy infusions that the chart lets run at the same time."""
    if administration.overlap([given_of(fact) for fact in case.bundle.doses]):
        yield case.found("overlapping_infusions", "service date")


def _regimen(case: Case, indication: str) -> Regimen | None:
    on = case.bundle.first
    row = case.desk.rules.maybe(Indication, on, product=case.desk.product, key=indication)
    return case.desk.rules.maybe(Regimen, on, key=row.regimen) if row and row.regimen else None


def _other_indications(case: Case) -> list[str]:
    rows = case.desk.rules.find(Indication, case.bundle.first, product=case.desk.product)
    return [row.key for row in rows if row.key != case.desk.indication]


def _planned(regimen: Regimen, fact: Fact[LymphodepletionAdministered]) -> bool:
    return any(plan.drug == fact.data.drug for plan in regimen.doses)


def _fits(case: Case, regimen: Regimen, fact: Fact[LymphodepletionAdministered]) -> bool:
    surface = _surface(case)
    for plan in regimen.doses:
        expected = plan.mg_per_m2 * surface
        tolerance = expected * regimen.dose_tolerance_percent / _PERCENT
        if plan.drug == fact.data.drug and abs(fact.data.dose_mg - expected) <= tolerance:
            return True
    return False


def _surface(case: Case) -> Decimal:
    """Body surface in square metres: as referred, else by Mosteller from height and weight."""
    data = case.desk.referral.data
    if data.bsa_m2 is not None:
        return data.bsa_m2
    return ((data.height_cm or Decimal(0)) * data.weight_kg / _MOSTELLER).sqrt()


def _course(case: Case, of: Fact[LymphodepletionAdministered]) -> list[Fact[LymphodepletionAdministered]]:
    """Every dose of the same drug in the same course, on whichever claim it stands."""
    course: list[Fact[LymphodepletionAdministered]] = []
    for fact in case.desk.record.lymphodepletion:
        if fact.data.drug != of.data.drug:
            continue
        if course and (fact.data.date - course[-1].data.date).days > case.desk.gap_days:
            if of in course:
                return course
            course = []
        course.append(fact)
    return course


CHECKS = (doses, extra_doses, overlapping)
