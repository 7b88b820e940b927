"""Stage 3, lymphodepletion: product confirmed at the centre first, then the regimen of the indication (G98-101)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from domain.case import Case, Service
from domain.decision import Milestone, Requirement
from domain.events import EventData
from domain.events.access import BookableStage
from domain.events.base import Stage
from domain.events.cells import CustodyStep, ProductReleased
from domain.facts import Fact
from domain.gates.authorization import authorization, infusion_day
from domain.gates.cells import arrival, confirmed_on_site, regimen_given
from domain.gates.eligibility import eligibility
from domain.gates.identity import identity
from domain.gates.product import label, referral
from domain.gates.readiness import readiness
from domain.record import Appointment
from domain.regimen import differs, exceeds
from domain.stages.manufacturing import recorded
from domain.stages.shape import Finding, Wait, day_start, freed, missed, wait

STAGE = Stage.LYMPHODEPLETION
NAMES = {CustodyStep.SHIPPED: "shipped", CustodyStep.SITE_RECEIPT: "site_receipt"}


def service(case: Case) -> Service:
    """The first dose of the last course; else the booking; else a course that is due."""
    if case.course:
        first = case.course[0]
        return case.performed(STAGE, first, first.data.facility, first.data.setting)
    booked = case.bookings(BookableStage.LYMPHODEPLETION)
    if booked:
        return case.booked(STAGE, booked[0])
    return case.due(STAGE, case.infusion_facility, None)


def asks(case: Case, service: Service) -> list[Requirement]:
    """Certificates again, the approval for the infusion day, and the product at the centre."""
    return [
        *referral(case, service),
        *label(case, service),
        *readiness(case, service),
        *eligibility(case, service),
        *authorization(case, service),
        confirmed_on_site(case, service),
        *identity(case, service),
    ]


def happened(case: Case) -> bool:
    """The regimen of the indication is documented, or the infusion began without it."""
    return regimen_given(case) or bool(case.record.infusions)


def waits(case: Case) -> Iterator[Wait]:
    """Shipment and receipt of the product; a booked course; its documentation."""
    release = case.attempt.release
    if release is None or case.record.infusions:
        return
    yield from _journey(case, release)
    if happened(case):
        return
    for booking in case.bookings(BookableStage.LYMPHODEPLETION):
        day = case.day(booking.starts_at, booking.facility)
        if not any(dose.data.date >= day for dose in case.course):
            yield _undocumented(case, booking)
    if case.course:
        yield _rest(case)
    else:
        yield from _unbooked(case)


def _journey(case: Case, release: Fact[ProductReleased]) -> Iterator[Wait]:
    """Shipment after the release, or onward after a transfer; then receipt at the centre."""
    moved = case.record.transfer
    start: Fact[EventData] = moved if moved is not None and moved.occurred > release.occurred else release
    shipped = recorded(case, CustodyStep.SHIPPED, start.occurred)
    if shipped is None and arrival(case) is None:
        title, events = "the shipment of the product is recorded", (start.event_id,)
        yield wait(case, "shipment_overdue", STAGE, title, start.occurred, "shipped", events)
    elif shipped is not None and arrival(case) is None:
        title, events = "the product is received at the center", (shipped.event_id,)
        yield wait(case, "site_receipt_overdue", STAGE, title, shipped.occurred, "site_receipt", events)


def _undocumented(case: Case, booking: Appointment) -> Wait:
    """A booked day without a dose on or after it."""
    title, start = "the booked lymphodepletion is documented", booking.starts_at
    return wait(
        case,
        "lymphodepletion_undocumented",
        STAGE,
        title,
        start,
        "lymphodepletion_documented",
        booking.events,
        booking.events[0],
    )


def _unbooked(case: Case) -> Iterator[Wait]:
    """The product is there and nobody booked the course."""
    received = arrival(case)
    if received is None or case.bookings(BookableStage.LYMPHODEPLETION):
        return
    start = (received.event_id, *freed(case, BookableStage.LYMPHODEPLETION))
    begun = max(case.by_event[event].occurred for event in start)
    title = "lymphodepletion is booked"
    yield wait(case, "lymphodepletion_unbooked", STAGE, title, begun, "lymphodepletion_booking", start)


def findings(case: Case) -> Iterator[Finding]:
    """Missed appointments, bookings that do not fit each other, and documented doses against the label."""
    if case.attempt.release is not None and not happened(case):
        yield from missed(case, BookableStage.LYMPHODEPLETION)
    if not case.course and not case.record.infusions:
        yield from _apart(case)
    yield from doses(case)


def doses(case: Case) -> Iterator[Finding]:
    """Documented doses against the label of the indication (corrections A1, G438)."""
    for course in case.all_courses:
        first = course[0].event_id
        events = tuple(dose.event_id for dose in course)
        too_much = exceeds(case, course)
        if too_much:
            yield Finding("dose_safety", first, events, "; ".join(too_much))
        other = differs(case, course)
        if other and (case.record.infusions or regimen_given(case) or course is not case.course):
            yield Finding("regimen_mismatch", first, events, "; ".join(other))


def milestones(case: Case) -> Iterator[Milestone]:
    """Shipment, receipt, doses given, and the planned days counted back from the infusion."""
    for fact in case.record.custody:
        if fact.data.step in NAMES:
            yield Milestone(NAMES[fact.data.step], fact.occurred, False, (fact.event_id,))
    days: dict[object, Milestone] = {}
    for dose in case.record.lymphodepletion:
        days.setdefault(dose.data.date, Milestone("lymphodepletion", dose.occurred, False, (dose.event_id,)))
    yield from days.values()
    if not case.course and not case.record.infusions:
        yield from _planned(case)


def _apart(case: Case) -> Iterator[Finding]:
    """The first booked day is not the first day of the regimen, counted back from the booked infusion, or none is booked."""
    booked, day0 = case.bookings(BookableStage.LYMPHODEPLETION), infusion_day(case)
    if not booked:
        return
    if day0 is None:
        gone = freed(case, BookableStage.INFUSION)
        if gone:
            detail = "the infusion is no longer booked; lymphodepletion still is"
            yield Finding("lymphodepletion_replan", events=(*booked[0].events, *gone), detail=detail)
        return
    days = _label_days(case, day0)
    if days and case.day(booked[0].starts_at, booked[0].facility) != days[0]:
        infusions = case.bookings(BookableStage.INFUSION)
        detail = f"label days for the booked infusion: {days[0].isoformat()} to {days[-1].isoformat()}"
        yield Finding("lymphodepletion_replan", events=(*booked[0].events, *infusions[0].events), detail=detail)


def _label_days(case: Case, day0: date) -> list[date]:
    """The days of the label's regimen before an infusion, for planning only (corrections A2)."""
    regimen = case.regimen(day0)
    offsets = sorted({day for dose in regimen.doses for day in dose.days}) if regimen else []
    return [day0 + timedelta(days=offset) for offset in offsets]


def _rest(case: Case) -> Wait:
    """The rest of a course that has begun, by the days that the label's regimen spans."""
    first, last = case.course[0], case.course[-1]
    regimen = case.regimen(first.data.date)
    days = [day for dose in regimen.doses for day in dose.days] if regimen else [0]
    end = day_start(case, first.data.date + timedelta(days=max(days) - min(days) + 1), first.data.facility)
    title = "the rest of the lymphodepletion is documented"
    return wait(case, "lymphodepletion_missing", STAGE, title, end, "lymphodepletion_documented", (last.event_id,))


def _planned(case: Case) -> Iterator[Milestone]:
    """Booked days; else the label's days before the booked infusion, for planning only (corrections A2)."""
    booked = case.bookings(BookableStage.LYMPHODEPLETION)
    for booking in booked:
        yield Milestone("lymphodepletion", booking.starts_at, True, booking.events)
    day0 = infusion_day(case)
    for day in _label_days(case, day0) if day0 is not None and not booked else ():
        yield Milestone("lymphodepletion", day_start(case, day, case.infusion_facility), True)
