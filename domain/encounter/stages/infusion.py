"""Stage 4, infusion: day 0, one bag, two people, one identity (G102-105, G186, corrections G)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.authorization import authorization
from domain.encounter.gates.cells import confirmed_on_site, depleted, in_time, last_dose_day, slipped
from domain.encounter.gates.chain import transfers
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


def service(context: EncounterContext) -> Service:
    """Return the first infusion; else its booking; else an infusion that is due."""
    if context.record.infusions:
        first = context.record.infusions[0]
        begun = min((context.by_event[event] for event in first.events), key=lambda fact: fact.order)
        return context.performed(STAGE, begun, first.facility, first.setting)
    booked = context.bookings(BookableStage.INFUSION)
    if booked:
        return context.booked(STAGE, booked[0])
    return context.due(STAGE, context.infusion_facility, context.record.planned_setting)


def gate_requirements(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return readiness with drug and intensive care, approval, setting, lymphodepletion, and the bag's identity."""
    return [
        *referral(context, service),
        *label(context, service),
        *readiness(context, service),
        *eligibility(context, service),
        *authorization(context, service),
        *site_of_care(context, service),
        confirmed_on_site(context, service),
        depleted(context, service),
        in_time(context, service),
        *identity(context, service),
    ]


def happened(context: EncounterContext) -> bool:
    """Whether cells were infused."""
    return bool(context.record.given)


def waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield the waits for the infusion after lymphodepletion, its documentation, and the end of the thaw time."""
    if happened(context):
        return
    yield from _thaw_clock(context)
    booked = context.bookings(BookableStage.INFUSION)
    for booking in booked:
        if context.attempt.release is not None or booking.starts_at <= context.now:
            yield wait(
                context,
                "infusion_undocumented",
                STAGE,
                "the booked infusion is documented",
                booking.starts_at,
                "infusion_documented",
                booking.events,
                booking.events[0],
            )
    last, limit = last_dose_day(context), slipped(context)
    if last is None or limit is None:
        return
    events = (context.course[-1].event_id,)
    if not booked:
        yield wait_until(context, "infusion_unbooked", STAGE, "the infusion is booked", context.day_end(last), events)
    end = context.day_end(limit, context.infusion_facility)
    yield wait_until(context, "lymphodepletion_repeat_due", STAGE, "the infusion follows lymphodepletion", end, events)


def findings(context: EncounterContext) -> Iterator[Finding]:
    """Yield bags in quarantine, a planned infusion too long after lymphodepletion, an infusion stopped midway."""
    planned = service(context)
    if context.course and not context.record.infusions:
        yield from missed(context, BookableStage.INFUSION)
    for bag_events in quarantined(context.as_of(planned), planned).values():
        yield Finding("quarantined_bag", bag_events[0], bag_events)
    yield from _elsewhere(context)
    limit = slipped(context)
    if limit is not None and planned.booked and planned.on > limit:
        yield Finding("lymphodepletion_repeat_due", events=(context.course[-1].event_id, *planned.events))
    for infusion in context.record.infusions:
        if infusion.outcome == "stopped":
            yield Finding("infusion_stopped", infusion.last.event_id, infusion.events)


def milestones(context: EncounterContext) -> Iterator[Milestone]:
    """Yield the infusions given, or the booked one."""
    for infusion in context.record.infusions:
        yield Milestone("infusion", infusion.started_at, False, infusion.events)
    if not context.record.infusions:
        for booking in context.bookings(BookableStage.INFUSION):
            yield Milestone("infusion", booking.starts_at, True, booking.events)


def _elsewhere(context: EncounterContext) -> Iterator[Finding]:
    """Yield an infusion booked at another center than planned."""
    plan = context.record.facilities
    for booking in context.bookings(BookableStage.INFUSION) if plan and not context.record.infusions else ():
        if plan is not None and booking.facility != plan.infusion:
            yield Finding("booking_elsewhere", booking.events[0], booking.events)


def _thaw_clock(context: EncounterContext) -> Iterator[Wait]:
    for fact in transfers(context, None):
        end = thaw_end(context, fact)
        if end is not None:
            yield Wait(f"thaw_clock:{fact.event_id}", None, end, STAGE, "the thaw clock", (fact.event_id,))
