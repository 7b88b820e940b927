"""The cells: collected, confirmed at the center before lymphodepletion, lymphodepletion given (corrections E)."""

from __future__ import annotations

from datetime import date, datetime

from domain.encounter.attempts import LOST
from domain.encounter.context import Dose, EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.gates.requirements import from_alert
from domain.encounter.model import Requirement
from domain.events import cells
from domain.events.cells import CustodyStep

ON_SITE = frozenset({CustodyStep.SITE_RECEIPT, CustodyStep.STORED, CustodyStep.AVAILABLE})


def collected(context: EncounterContext, service: Service) -> Requirement:
    """Return the requirement of cells of this attempt, or of a finished product, for manufacturing."""
    met = bool(context.attempt.collections) or context.attempt.release is not None
    return from_alert(
        context,
        "apheresis_undocumented",
        "product.collected",
        "product",
        met,
        "" if met else "documented collection",
        releases_on=("cart.apheresis.completed",),
        overridable=False,
        evidence=tuple(fact.event_id for fact in context.attempt.collections),
    )


def confirmed_on_site(context: EncounterContext, service: Service) -> Requirement:
    """Return the requirement of receipt and acceptance at the center, before the first dose if doses were given."""
    arrived = arrival(context, service.moment)
    met = arrived is not None
    return from_alert(
        context,
        "product_on_site_missing",
        "product.on_site",
        "product",
        met,
        "" if met else "receipt and acceptance of the product at the center",
        releases_on=("cart.custody.recorded", "cart.product.released", "cart.disposition.signed"),
        overridable=True,
        evidence=(arrived.event_id,) if arrived else (),
    )


def arrival(context: EncounterContext, until: datetime | None = None) -> Fact[cells.CustodyRecorded] | None:
    """The transfer that shows the bag at the planned center, unless the last record of the bag is a refusal."""
    steps = [
        fact
        for fact in context.record.custody
        if fact.data.step in ON_SITE
        and fact.occurred > context.attempt.since
        and _at_planned_center(context, fact)
        and (until is None or fact.occurred <= until)
        and (context.attempt.bag_id is None or fact.data.bag_id in (None, context.attempt.bag_id))
    ]
    if not steps or any(fact.data.accepted is False for fact in steps[-1:]):
        return None
    return steps[0]


def _at_planned_center(context: EncounterContext, fact: Fact[cells.CustodyRecorded]) -> bool:
    """Whether the facility of the transfer is the planned center; a transfer without one counts as at the center planned then."""
    if fact.data.facility is not None:
        return fact.data.facility == context.infusion_facility
    moved = context.record.transfer
    return moved is None or fact.occurred > moved.occurred


def left_over(context: EncounterContext) -> tuple[Fact[cells.ProductReleased], ...]:
    """Releases of bags that will not be infused and have no signed disposition or recorded outcome."""
    used = {infusion.bag_id for infusion in context.record.infusions}
    settled: set[str | None] = {f.data.bag_id for f in context.record.dispositions if f.data.disposition in LOST}
    settled |= {fact.data.bag_id for fact in context.record.custody if fact.data.step is CustodyStep.DISPOSITION}
    planned = None if context.record.withdrawal is not None or context.record.given else context.attempt.bag_id
    latest = {fact.data.bag_id: fact for fact in context.record.releases}
    return tuple(fact for bag, fact in latest.items() if bag not in used | settled | {planned})


def in_manufacturing(context: EncounterContext) -> bool:
    """Whether cells were collected and are neither released nor given up."""
    return bool(context.attempt.collections) and context.attempt.release is None


def depleted(context: EncounterContext, service: Service) -> Requirement:
    """Return the requirement of documented lymphodepletion of the regimen."""
    met = regimen_given(context)
    return from_alert(
        context,
        "lymphodepletion_missing",
        "product.lymphodepletion",
        "product",
        met,
        "" if met else "documented lymphodepletion of the regimen",
        releases_on=("cart.lymphodepletion.administered",),
        evidence=tuple(fact.event_id for fact in context.course),
    )


def in_time(context: EncounterContext, service: Service) -> Requirement:
    """Return the requirement that the infusion follows lymphodepletion in time; else the course is repeated."""
    allowed = context.window("lymphodepletion_slip", service.on).days or 0
    last = last_dose_day(context)
    met = last is None or (service.on - last).days <= allowed
    return from_alert(
        context,
        "lymphodepletion_repeat_due",
        "product.lymphodepletion_in_time",
        "product",
        met,
        "" if met else "lymphodepletion within the allowed days before the infusion",
        releases_on=("cart.lymphodepletion.administered", "cart.appointment.rescheduled"),
        evidence=tuple(fact.event_id for fact in context.course[-1:]),
    )


def last_dose_day(context: EncounterContext) -> date | None:
    """The day of the last dose of the last course."""
    return context.course[-1].data.date if context.course else None


def regimen_given(context: EncounterContext) -> bool:
    """Whether every drug of the label's regimen was given on at least its number of days, in one course."""
    return any(_complete(context, course) for course in context.courses[-1:])


def _complete(context: EncounterContext, course: tuple[Dose, ...]) -> bool:
    regimen = context.regimen(course[0].data.date)
    if regimen is None:
        return False
    days = {dose.drug: len({d.data.date for d in course if d.data.drug == dose.drug}) for dose in regimen.doses}
    return all(days[dose.drug] >= len(dose.days) for dose in regimen.doses)


def slipped(context: EncounterContext) -> date | None:
    """The last day on which the infusion is still within the window after lymphodepletion; None without a course."""
    last = last_dose_day(context)
    if last is None or context.record.given:
        return None
    return date.fromordinal(last.toordinal() + (context.window("lymphodepletion_slip").days or 0))


__all__ = [
    "arrival",
    "collected",
    "confirmed_on_site",
    "depleted",
    "in_manufacturing",
    "in_time",
    "last_dose_day",
    "left_over",
    "regimen_given",
    "slipped",
]
