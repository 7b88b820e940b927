"""Stage 1, apheresis: clearance before the collection is booked, and the collection itself (G47, G90-93)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.case import Case, Service
from domain.decision import Milestone, Requirement
from domain.events.access import BookableStage
from domain.events.base import Stage
from domain.gates.authorization import authorization, required
from domain.gates.eligibility import eligibility
from domain.gates.identity import shared_identity
from domain.gates.product import label, overlap, referral
from domain.gates.readiness import readiness
from domain.gates.site_of_care import site_of_care
from domain.stages.shape import Finding, Wait, freed, missed, wait

STAGE = Stage.APHERESIS


def service(case: Case) -> Service:
    """The first collection of this attempt; else its booking; else a collection that is due."""
    first = case.attempt.first_collection
    if first is not None:
        return case.performed(STAGE, first, first.data.facility, first.data.setting)
    booked = case.bookings(BookableStage.APHERESIS)
    if booked:
        return case.booked(STAGE, booked[0])
    return case.due(STAGE, case.apheresis_facility, None)


def collections(case: Case) -> tuple[Service, ...]:
    """Every collection that was performed, of every attempt."""
    return tuple(case.performed(STAGE, f, f.data.facility, f.data.setting) for f in case.record.collections)


def asks(case: Case, service: Service) -> list[Requirement]:
    """Everything that must be known before cells are collected (G47: verify before scheduling)."""
    if case.record.referral is None:
        return referral(case, service)
    return [
        *referral(case, service),
        *label(case, service),
        *readiness(case, service),
        *eligibility(case, service),
        *authorization(case, service),
        *site_of_care(case, service),
        *shared_identity(case, service),
    ]


def happened(case: Case) -> bool:
    """Cells of this attempt were collected, or a product of it exists."""
    return bool(case.attempt.collections) or case.attempt.release is not None


def waits(case: Case) -> Iterator[Wait]:
    """Papers, authorization, booking, and the documentation of a booked collection."""
    known = case.record.referral
    if known is not None and not happened(case):
        yield from _paper_waits(case)
    if happened(case):
        return
    booked = case.bookings(BookableStage.APHERESIS)
    for booking in booked:
        yield wait(
            case,
            "apheresis_undocumented",
            STAGE,
            "the booked collection is documented",
            booking.starts_at,
            "apheresis_documented",
            booking.events,
            booking.events[0],
        )
    start = (*case.attempt.lost[-1:], *((known.event_id,) if known else ()), *freed(case, BookableStage.APHERESIS))
    if not booked and start:
        begun = max(case.by_event[event].occurred for event in start)
        yield wait(case, "apheresis_unbooked", STAGE, "a collection is booked", begun, "booking", start)


def findings(case: Case) -> Iterator[Finding]:
    """What is known about the way to the collection: bookings without referral, missed ones, the payer's answer."""
    standing = tuple(e for a in case.record.appointments if a.status == "booked" for e in a.events)
    if case.record.referral is None and standing:
        yield Finding("referral_missing", events=standing)
    if not happened(case):
        if overlap(case, service(case).on):
            assert case.record.referral is not None
            yield Finding("label_overlap", events=(case.record.referral.event_id,))
        yield from missed(case, BookableStage.APHERESIS)


def milestones(case: Case) -> Iterator[Milestone]:
    """Referral and collections, done or booked."""
    if case.record.referral is not None:
        yield Milestone("referral", case.record.referral.time, False, (case.record.referral.event_id,))
    for fact in case.record.collections:
        yield Milestone("apheresis", fact.occurred, False, (fact.event_id,))
    if not case.attempt.collections:
        for booking in case.bookings(BookableStage.APHERESIS):
            yield Milestone("apheresis", booking.starts_at, True, booking.events)


def _paper_waits(case: Case) -> Iterator[Wait]:
    known = case.record.referral
    assert known is not None
    gap = [r for r in eligibility(case, service(case)) if not r.met and r.enforcement.value == "hold"]
    if gap:
        yield wait(
            case,
            "evidence_overdue",
            STAGE,
            "the checklist documents are complete",
            known.time,
            "eligibility_papers",
            (known.event_id,),
        )
    if required(case):
        yield from _authorization_waits(case)


def _authorization_waits(case: Case) -> Iterator[Wait]:
    """Submission after the referral, or after a failed manufacture; then the decision."""
    known = case.record.referral
    assert known is not None
    since = case.attempt.lost[-1] if case.attempt.lost else known.event_id
    begun = case.by_event[since].occurred if case.attempt.lost else known.time
    fresh = [a for a in case.record.authorizations if (a.decided_at or a.submitted_at or begun) > case.attempt.since]
    if not fresh:
        title = "the authorization request is submitted"
        yield wait(case, "authorization_submission_overdue", STAGE, title, begun, "authorization_submission", (since,))
    for found in fresh:
        if found.decision is None and found.submitted_at is not None:
            yield wait(
                case,
                "authorization_decision_overdue",
                STAGE,
                "the payer decides the authorization",
                found.submitted_at,
                "authorization_decision",
                found.events,
                found.events[0],
            )
