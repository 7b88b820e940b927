"""Stage 1, apheresis: clearance before the collection is booked, and the collection itself (G47, G90-93)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext, Service
from domain.encounter.gates.authorization import authorization, required
from domain.encounter.gates.eligibility import eligibility
from domain.encounter.gates.identity import shared_identity
from domain.encounter.gates.product import label, overlap, referral
from domain.encounter.gates.readiness import readiness
from domain.encounter.gates.site_of_care import site_of_care
from domain.encounter.model import Milestone, Requirement
from domain.encounter.stages.stage_module import Wait, freed, missed, wait
from domain.events.access import BookableStage
from domain.events.base import Stage

STAGE = Stage.APHERESIS


def service(context: EncounterContext) -> Service:
    """Return the first collection of this attempt; else its booking; else a collection that is due."""
    first = context.attempt.first_collection
    if first is not None:
        return context.performed(STAGE, first, first.data.facility, first.data.setting)
    booked = context.bookings(BookableStage.APHERESIS)
    if booked:
        return context.booked(STAGE, booked[0])
    return context.due(STAGE, context.apheresis_facility, None)


def collections(context: EncounterContext) -> tuple[Service, ...]:
    """Return every collection that was performed, of every attempt."""
    return tuple(context.performed(STAGE, f, f.data.facility, f.data.setting) for f in context.record.collections)


def gate_requirements(context: EncounterContext, service: Service) -> list[Requirement]:
    """Return what is required before cells are collected (G47: verify before scheduling)."""
    if context.record.referral is None:
        return referral(context, service)
    return [
        *referral(context, service),
        *label(context, service),
        *readiness(context, service),
        *eligibility(context, service),
        *authorization(context, service),
        *site_of_care(context, service),
        *shared_identity(context, service),
    ]


def happened(context: EncounterContext) -> bool:
    """Whether cells of this attempt were collected, or a product of it exists."""
    return bool(context.attempt.collections) or context.attempt.release is not None


def waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield the waits for documents, authorization, booking, and the documentation of a booked collection."""
    known = context.record.referral
    if known is not None and not happened(context):
        yield from _document_waits(context)
    if happened(context):
        return
    booked = context.bookings(BookableStage.APHERESIS)
    for booking in booked:
        yield wait(
            context,
            "apheresis_undocumented",
            STAGE,
            "the booked collection is documented",
            booking.starts_at,
            "apheresis_documented",
            booking.events,
            booking.events[0],
        )
    start = (
        *context.attempt.lost[-1:],
        *((known.event_id,) if known else ()),
        *freed(context, BookableStage.APHERESIS),
    )
    if not booked and start:
        begun = max(context.by_event[event].occurred for event in start)
        yield wait(context, "apheresis_unbooked", STAGE, "a collection is booked", begun, "booking", start)


def findings(context: EncounterContext) -> Iterator[Finding]:
    """Yield bookings without referral, missed bookings, and the payer's answer."""
    bookings = tuple(e for a in context.record.appointments if a.status == "booked" for e in a.events)
    if context.record.referral is None and bookings:
        yield Finding("referral_missing", events=bookings)
    if not happened(context):
        if overlap(context, service(context).on):
            assert context.record.referral is not None
            yield Finding("label_overlap", events=(context.record.referral.event_id,))
        yield from missed(context, BookableStage.APHERESIS)


def milestones(context: EncounterContext) -> Iterator[Milestone]:
    """Yield the referral and the collections, performed or booked."""
    if context.record.referral is not None:
        yield Milestone("referral", context.record.referral.time, False, (context.record.referral.event_id,))
    for fact in context.record.collections:
        yield Milestone("apheresis", fact.occurred, False, (fact.event_id,))
    if not context.attempt.collections:
        for booking in context.bookings(BookableStage.APHERESIS):
            yield Milestone("apheresis", booking.starts_at, True, booking.events)


def _document_waits(context: EncounterContext) -> Iterator[Wait]:
    known = context.record.referral
    assert known is not None
    gap = [r for r in eligibility(context, service(context)) if not r.met and r.enforcement.value == "hold"]
    if gap:
        yield wait(
            context,
            "evidence_overdue",
            STAGE,
            "the checklist documents are complete",
            known.time,
            "eligibility_papers",
            (known.event_id,),
        )
    if required(context):
        yield from _authorization_waits(context)


def _authorization_waits(context: EncounterContext) -> Iterator[Wait]:
    """Yield the submission after the referral or after failed manufacturing; then the decision."""
    known = context.record.referral
    assert known is not None
    since = context.attempt.lost[-1] if context.attempt.lost else known.event_id
    begun = context.by_event[since].occurred if context.attempt.lost else known.time
    fresh = [
        a for a in context.record.authorizations if (a.decided_at or a.submitted_at or begun) > context.attempt.since
    ]
    if not fresh:
        title = "the authorization request is submitted"
        yield wait(
            context, "authorization_submission_overdue", STAGE, title, begun, "authorization_submission", (since,)
        )
    for found in fresh:
        if found.decision is None and found.submitted_at is not None:
            yield wait(
                context,
                "authorization_decision_overdue",
                STAGE,
                "the payer decides the authorization",
                found.submitted_at,
                "authorization_decision",
                found.events,
                found.events[0],
            )
