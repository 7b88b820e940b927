"""The cells themselves: collected, confirmed at the centre before lymphodepletion, lymphodepletion given (corrections E)."""

from __future__ import annotations

from datetime import date, datetime

from domain.attempts import LOST
from domain.case import Case, Dose, Service
from domain.decision import Requirement
from domain.events import cells
from domain.events.cells import CustodyStep
from domain.facts import Fact
from domain.gates.rows import from_alert

ON_SITE = frozenset({CustodyStep.SITE_RECEIPT, CustodyStep.STORED, CustodyStep.AVAILABLE})


def collected(case: Case, service: Service) -> Requirement:
    """Manufacture needs cells of this attempt, or a product that is already made."""
    met = bool(case.attempt.collections) or case.attempt.release is not None
    return from_alert(
        case,
        "apheresis_undocumented",
        "product.collected",
        "product",
        met,
        "" if met else "documented collection",
        releases_on=("cart.apheresis.completed",),
        overridable=False,
        evidence=tuple(fact.event_id for fact in case.attempt.collections),
    )


def confirmed_on_site(case: Case, service: Service) -> Requirement:
    """The product is received and accepted at the centre, before the first dose where doses were given."""
    arrived = arrival(case, service.moment)
    met = arrived is not None
    return from_alert(
        case,
        "product_on_site_missing",
        "product.on_site",
        "product",
        met,
        "" if met else "receipt and acceptance of the product at the center",
        releases_on=("cart.custody.recorded", "cart.product.released", "cart.disposition.signed"),
        overridable=True,
        evidence=(arrived.event_id,) if arrived else (),
    )


def arrival(case: Case, until: datetime | None = None) -> Fact[cells.CustodyRecorded] | None:
    """The hand-over that shows the bag at the planned centre, unless the last word on it was a refusal."""
    steps = [
        fact
        for fact in case.record.custody
        if fact.data.step in ON_SITE
        and fact.occurred > case.attempt.since
        and _at_planned_centre(case, fact)
        and (until is None or fact.occurred <= until)
        and (case.attempt.bag_id is None or fact.data.bag_id in (None, case.attempt.bag_id))
    ]
    if not steps or any(fact.data.accepted is False for fact in steps[-1:]):
        return None
    return steps[0]


def _at_planned_centre(case: Case, fact: Fact[cells.CustodyRecorded]) -> bool:
    """By the facility that the hand-over names; without one, a bag is where the plan of that time wanted it."""
    if fact.data.facility is not None:
        return fact.data.facility == case.infusion_facility
    moved = case.record.transfer
    return moved is None or fact.occurred > moved.occurred


def left_over(case: Case) -> tuple[Fact[cells.ProductReleased], ...]:
    """Releases of bags that nobody will infuse any more and whose fate nobody has signed or recorded."""
    used = {infusion.bag_id for infusion in case.record.infusions}
    settled: set[str | None] = {f.data.bag_id for f in case.record.dispositions if f.data.disposition in LOST}
    settled |= {fact.data.bag_id for fact in case.record.custody if fact.data.step is CustodyStep.DISPOSITION}
    wanted = None if case.record.withdrawal is not None or case.record.given else case.attempt.bag_id
    latest = {fact.data.bag_id: fact for fact in case.record.releases}
    return tuple(fact for bag, fact in latest.items() if bag not in used | settled | {wanted})


def in_manufacture(case: Case) -> bool:
    """Cells were collected and are neither released nor given up."""
    return bool(case.attempt.collections) and case.attempt.release is None


def depleted(case: Case, service: Service) -> Requirement:
    """The lymphodepletion of the regimen is documented."""
    met = regimen_given(case)
    return from_alert(
        case,
        "lymphodepletion_missing",
        "product.lymphodepletion",
        "product",
        met,
        "" if met else "documented lymphodepletion of the regimen",
        releases_on=("cart.lymphodepletion.administered",),
        evidence=tuple(fact.event_id for fact in case.course),
    )


def in_time(case: Case, service: Service) -> Requirement:
    """The infusion follows lymphodepletion within the span of the rulebook; beyond it the course is repeated."""
    allowed = case.window("lymphodepletion_slip", service.on).days or 0
    last = last_dose_day(case)
    met = last is None or (service.on - last).days <= allowed
    return from_alert(
        case,
        "lymphodepletion_repeat_due",
        "product.lymphodepletion_in_time",
        "product",
        met,
        "" if met else "lymphodepletion within the allowed days before the infusion",
        releases_on=("cart.lymphodepletion.administered", "cart.appointment.rescheduled"),
        evidence=tuple(fact.event_id for fact in case.course[-1:]),
    )


def last_dose_day(case: Case) -> date | None:
    """The day of the last dose of the last course."""
    return case.course[-1].data.date if case.course else None


def regimen_given(case: Case) -> bool:
    """Every drug of the label's regimen on at least its number of days, in one course."""
    return any(_complete(case, course) for course in case.courses[-1:])


def _complete(case: Case, course: tuple[Dose, ...]) -> bool:
    regimen = case.regimen(course[0].data.date)
    if regimen is None:
        return False
    days = {dose.drug: len({d.data.date for d in course if d.data.drug == dose.drug}) for dose in regimen.doses}
    return all(days[dose.drug] >= len(dose.days) for dose in regimen.doses)


def slipped(case: Case) -> date | None:
    """The last day on which the infusion still follows lymphodepletion closely enough; None without a course."""
    last = last_dose_day(case)
    if last is None or case.record.given:
        return None
    return date.fromordinal(last.toordinal() + (case.window("lymphodepletion_slip").days or 0))


__all__ = [
    "arrival",
    "collected",
    "confirmed_on_site",
    "depleted",
    "in_manufacture",
    "in_time",
    "last_dose_day",
    "left_over",
    "regimen_given",
    "slipped",
]
