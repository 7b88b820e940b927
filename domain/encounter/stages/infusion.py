"""Stage 4, infusion: day 0, one bag, two people, one identity (G102-105, G186, corrections G)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.alerts.model import Finding
from domain.encounter.context import Case, Service
from domain.encounter.gates.authorization import authorization
from domain.encounter.gates.cells import confirmed_on_site, depleted, in_time, last_dose_day, slipped
from domain.encounter.gates.chain import hand_overs
from domain.encounter.gates.condition import thaw_end
from domain.encounter.gates.eligibility import eligibility
from domain.encounter.gates.identity import identity, quarantined
from domain.encounter.gates.product import label, referral
from domain.encounter.gates.readiness import readiness
from domain.encounter.gates.site_of_care import site_of_care
from domain.encounter.model import Milestone, Requirement
from domain.encounter.stages.stage_module import Wait, missed, wait, wait_until
from domain.events.access import BookableStage
from domain.events.base import Stage

STAGE = Stage.INFUSION


def service(case: Case) -> Service:
    """The first infusion; else its booking; else an infusion that is due."""
    if case.record.infusions:
        first = case.record.infusions[0]
        begun = min((case.by_event[event] for event in first.events), key=lambda fact: fact.order)
        return case.performed(STAGE, begun, first.facility, first.setting)
    booked = case.bookings(BookableStage.INFUSION)
    if booked:
        return case.booked(STAGE, booked[0])
    return case.due(STAGE, case.infusion_facility, case.record.planned_setting)


def asks(case: Case, service: Service) -> list[Requirement]:
    """Readiness with drug and intensive care at hand, approval, setting, lymphodepletion, and the bag's identity."""
    return [
        *referral(case, service),
        *label(case, service),
        *readiness(case, service),
        *eligibility(case, service),
        *authorization(case, service),
        *site_of_care(case, service),
        confirmed_on_site(case, service),
        depleted(case, service),
        in_time(case, service),
        *identity(case, service),
    ]


def happened(case: Case) -> bool:
    """Cells went into the patient."""
    return bool(case.record.given)


def waits(case: Case) -> Iterator[Wait]:
    """The infusion after lymphodepletion, its documentation, and the thaw clock."""
    if happened(case):
        return
    yield from _thaw_clock(case)
    booked = case.bookings(BookableStage.INFUSION)
    for booking in booked:
        if case.attempt.release is not None or booking.starts_at <= case.now:
            yield wait(
                case,
                "infusion_undocumented",
                STAGE,
                "the booked infusion is documented",
                booking.starts_at,
                "infusion_documented",
                booking.events,
                booking.events[0],
            )
    last, limit = last_dose_day(case), slipped(case)
    if last is None or limit is None:
        return
    events = (case.course[-1].event_id,)
    if not booked:
        yield wait_until(case, "infusion_unbooked", STAGE, "the infusion is booked", case.day_end(last), events)
    end = case.day_end(limit, case.infusion_facility)
    yield wait_until(case, "lymphodepletion_repeat_due", STAGE, "the infusion follows lymphodepletion", end, events)


def findings(case: Case) -> Iterator[Finding]:
    """Bags in quarantine, a planned infusion too long after lymphodepletion, an infusion stopped midway."""
    planned = service(case)
    if case.course and not case.record.infusions:
        yield from missed(case, BookableStage.INFUSION)
    for bag_events in quarantined(case.as_of(planned), planned).values():
        yield Finding("quarantined_bag", bag_events[0], bag_events)
    yield from _elsewhere(case)
    limit = slipped(case)
    if limit is not None and planned.booked and planned.on > limit:
        yield Finding("lymphodepletion_repeat_due", events=(case.course[-1].event_id, *planned.events))
    for infusion in case.record.infusions:
        if infusion.outcome == "stopped":
            yield Finding("infusion_stopped", infusion.last.event_id, infusion.events)


def milestones(case: Case) -> Iterator[Milestone]:
    """Infusions given, or the booked one."""
    for infusion in case.record.infusions:
        yield Milestone("infusion", infusion.started_at, False, infusion.events)
    if not case.record.infusions:
        for booking in case.bookings(BookableStage.INFUSION):
            yield Milestone("infusion", booking.starts_at, True, booking.events)


def _elsewhere(case: Case) -> Iterator[Finding]:
    """An infusion booked at another centre than the plan names."""
    plan = case.record.facilities
    for booking in case.bookings(BookableStage.INFUSION) if plan and not case.record.infusions else ():
        if plan is not None and booking.facility != plan.infusion:
            yield Finding("booking_elsewhere", booking.events[0], booking.events)


def _thaw_clock(case: Case) -> Iterator[Wait]:
    for fact in hand_overs(case, None):
        end = thaw_end(case, fact)
        if end is not None:
            yield Wait(f"thaw_clock:{fact.event_id}", None, end, STAGE, "the thaw clock", (fact.event_id,))
