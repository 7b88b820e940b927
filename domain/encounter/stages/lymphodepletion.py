"""Stage 3, lymphodepletion: product confirmed at the center first, then the regimen of the indication (G98-101)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from domain.alerts.model import Finding
from domain.encounter.checks.regimen import differs, exceeds
from domain.encounter.context import EncounterContext, Service
from domain.encounter.facts import Fact
from domain.encounter.gates.authorization import authorization, infusion_day
from domain.encounter.gates.cells import arrival, confirmed_on_site, regimen_given
from domain.encounter.gates.eligibility import eligibility
from domain.encounter.gates.identity import identity
from domain.encounter.gates.product import label, referral
from domain.encounter.gates.readiness import readiness
from domain.encounter.model import Milestone, Requirement
from domain.encounter.record import Appointment
from domain.encounter.stages.manufacturing import recorded
from domain.encounter.stages.stage_module import Wait, day_start, freed, missed, wait
from domain.events import EventData
from domain.events.access import BookableStage
from domain.events.base import Stage
from domain.events.cells import CustodyStep, ProductReleased

STAGE = Stage.LYMPHODEPLETION
NAMES = {CustodyStep.SHIPPED: "shipped", CustodyStep.SITE_RECEIPT: "site_receipt"}


def service(context: EncounterContext) -> Service:
    """Return the first dose of the last course; else the booking; else a course that is due."""
    if context.course:
        first = context.course[0]
        return context.performed(STAGE, first, first.data.facility, first.data.setting)
    booked = context.bookings(BookableStage.LYMPHODEPLETION)
    if booked:
        return context.booked(STAGE, booked[0])
    return context.due(STAGE, context.infusion_facility, None)


def gate_requirements(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return certificates again, the approval for the infusion day, and the product at the center."""
    return [
        *referral(context, service),
        *label(context, service),
        *readiness(context, service),
        *eligibility(context, service),
        *authorization(context, service),
        confirmed_on_site(context, service),
        *identity(context, service),
    ]


def happened(context: EncounterContext) -> bool:
    """Whether the regimen of the indication is documented, or the infusion began without it."""
    return regimen_given(context) or bool(context.record.infusions)


def waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield the waits for shipment and receipt of the product, a booked course, and its documentation."""
    release = context.attempt.release
    if release is None or context.record.infusions:
        return
    yield from _journey(context, release)
    if happened(context):
        return
    for booking in context.bookings(BookableStage.LYMPHODEPLETION):
        day = context.day(booking.starts_at, booking.facility)
        if not any(dose.data.date >= day for dose in context.course):
            yield _undocumented(context, booking)
    if context.course:
        yield _rest(context)
    else:
        yield from _unbooked(context)


def _journey(context: EncounterContext, release: Fact[ProductReleased]) -> Iterator[Wait]:
    """Yield the shipment after the release, or onward after a change of center; then receipt at the center."""
    moved = context.record.transfer
    start: Fact[EventData] = moved if moved is not None and moved.occurred > release.occurred else release
    shipped = recorded(context, CustodyStep.SHIPPED, start.occurred)
    if shipped is None and arrival(context) is None:
        title, events = "the shipment of the product is recorded", (start.event_id,)
        yield wait(context, "shipment_overdue", STAGE, title, start.occurred, "shipped", events)
    elif shipped is not None and arrival(context) is None:
        title, events = "the product is received at the center", (shipped.event_id,)
        yield wait(context, "site_receipt_overdue", STAGE, title, shipped.occurred, "site_receipt", events)


def _undocumented(context: EncounterContext, booking: Appointment) -> Wait:
    """Yield the wait for a dose on or after a booked day."""
    title, start = "the booked lymphodepletion is documented", booking.starts_at
    return wait(
        context,
        "lymphodepletion_undocumented",
        STAGE,
        title,
        start,
        "lymphodepletion_documented",
        booking.events,
        booking.events[0],
    )


def _unbooked(context: EncounterContext) -> Iterator[Wait]:
    """Yield the wait for a booking when the product is at the center and the course is not booked."""
    received = arrival(context)
    if received is None or context.bookings(BookableStage.LYMPHODEPLETION):
        return
    start = (received.event_id, *freed(context, BookableStage.LYMPHODEPLETION))
    begun = max(context.by_event[event].occurred for event in start)
    title = "lymphodepletion is booked"
    yield wait(context, "lymphodepletion_unbooked", STAGE, title, begun, "lymphodepletion_booking", start)


def findings(context: EncounterContext) -> Iterator[Finding]:
    """Yield missed appointments, bookings that do not fit each other, and documented doses that differ from the label."""
    if context.attempt.release is not None and not happened(context):
        yield from missed(context, BookableStage.LYMPHODEPLETION)
    if not context.course and not context.record.infusions:
        yield from _apart(context)
    yield from doses(context)


def doses(context: EncounterContext) -> Iterator[Finding]:
    """Yield documented doses that differ from the label of the indication (corrections A1, G438)."""
    for course in context.all_courses:
        first = course[0].event_id
        events = tuple(dose.event_id for dose in course)
        too_much = exceeds(context, course)
        if too_much:
            yield Finding("dose_safety", first, events, "; ".join(too_much))
        other = differs(context, course)
        if other and (context.record.infusions or regimen_given(context) or course is not context.course):
            yield Finding("regimen_mismatch", first, events, "; ".join(other))


def milestones(context: EncounterContext) -> Iterator[Milestone]:
    """Yield shipment, receipt, doses given, and the planned days counted back from the infusion."""
    for fact in context.record.custody:
        if fact.data.step in NAMES:
            yield Milestone(NAMES[fact.data.step], fact.occurred, False, (fact.event_id,))
    days: dict[object, Milestone] = {}
    for dose in context.record.lymphodepletion:
        days.setdefault(dose.data.date, Milestone("lymphodepletion", dose.occurred, False, (dose.event_id,)))
    yield from days.values()
    if not context.course and not context.record.infusions:
        yield from _planned(context)


def _apart(context: EncounterContext) -> Iterator[Finding]:
    """Yield a first booked day that does not match the regimen before the booked infusion, or without a booked infusion."""
    booked, day0 = context.bookings(BookableStage.LYMPHODEPLETION), infusion_day(context)
    if not booked:
        return
    if day0 is None:
        gone = freed(context, BookableStage.INFUSION)
        if gone:
            detail = "the infusion is no longer booked; lymphodepletion still is"
            yield Finding("lymphodepletion_replan", events=(*booked[0].events, *gone), detail=detail)
        return
    days = _label_days(context, day0)
    if days and context.day(booked[0].starts_at, booked[0].facility) != days[0]:
        infusions = context.bookings(BookableStage.INFUSION)
        detail = f"label days for the booked infusion: {days[0].isoformat()} to {days[-1].isoformat()}"
        yield Finding("lymphodepletion_replan", events=(*booked[0].events, *infusions[0].events), detail=detail)


def _label_days(context: EncounterContext, day0: date) -> list[date]:
    """Return the days of the label's regimen before an infusion, for planning only (corrections A2)."""
    regimen = context.regimen(day0)
    offsets = sorted({day for dose in regimen.doses for day in dose.days}) if regimen else []
    return [day0 + timedelta(days=offset) for offset in offsets]


def _rest(context: EncounterContext) -> Wait:
    """Yield the wait for the rest of a started course, by the days that the label's regimen spans."""
    first, last = context.course[0], context.course[-1]
    regimen = context.regimen(first.data.date)
    days = [day for dose in regimen.doses for day in dose.days] if regimen else [0]
    end = day_start(context, first.data.date + timedelta(days=max(days) - min(days) + 1), first.data.facility)
    title = "the rest of the lymphodepletion is documented"
    return wait(context, "lymphodepletion_missing", STAGE, title, end, "lymphodepletion_documented", (last.event_id,))


def _planned(context: EncounterContext) -> Iterator[Milestone]:
    """Return the booked days; else the label's days before the booked infusion, for planning only (corrections A2)."""
    booked = context.bookings(BookableStage.LYMPHODEPLETION)
    for booking in booked:
        yield Milestone("lymphodepletion", booking.starts_at, True, booking.events)
    day0 = infusion_day(context)
    for day in _label_days(context, day0) if day0 is not None and not booked else ():
        yield Milestone("lymphodepletion", day_start(context, day, context.infusion_facility), True)
