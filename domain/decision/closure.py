"""When an encounter is over, and how it ended.

After an infusion: the readmission window is over, the patient is not in the hospital, every claim is ready without errors.
After a withdrawal: the same without the window. A late document reopens the encounter, because closure depends on the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from domain.alerts.model import Finding
from domain.billing.model import Claim
from domain.encounter.context import EncounterContext
from domain.encounter.gates.cells import in_manufacturing, left_over
from domain.encounter.model import Outcome
from domain.encounter.stages import monitoring
from domain.encounter.stages.stage_module import Wait, wait
from domain.events.base import Stage

ENDS = frozenset(
    {
        "withdrawn",
        "infusion_stopped",
        "crs_drug_reminder",
        "readmission_elsewhere",
        "manufacturing_failed",
        "product_delayed",
        "appointment_missed",
    }
)
"""Alerts that require work while the encounter is open; questions about the record stay open."""

OUTCOMES = {"death": Outcome.DECEASED, "product_unusable": Outcome.PRODUCT_LOST}


def outcome(context: EncounterContext, claims: Iterable[Claim]) -> Outcome | None:
    """Return how the encounter ended; None while something is still due."""
    end = closes_at(context)
    if end is None or end > context.now or monitoring.open_stays(context):
        return None
    if any(not claim.ready or claim.errors for claim in claims):
        return None
    return ending(context)


def ending(context: EncounterContext) -> Outcome:
    """Return completed after an infusion, unless the patient died; else the reason of the withdrawal."""
    left = context.record.withdrawal
    if left is not None and left.data.reason == "death":
        return Outcome.DECEASED
    if context.record.given or left is None:
        return Outcome.COMPLETED
    return OUTCOMES.get(left.data.reason, Outcome.WITHDRAWN)


def closes_at(context: EncounterContext) -> datetime | None:
    """The earliest moment of closure by the clock; None while the encounter is in progress."""
    left = context.record.withdrawal
    if left is not None and (left.data.reason == "death" or not context.record.given):
        return max(left.occurred + context.span("withdrawal"), left.received_at + context.grace)
    return monitoring.window_end(context)


def waits(context: EncounterContext, claims: Iterable[Claim]) -> Iterator[Wait]:
    """Yield the wait for closure, and for the documents of each claim that is not ready."""
    end = closes_at(context)
    if end is not None:
        yield Wait("wake:closure", None, end, Stage.MONITORING, "closure of the encounter")
    for claim in claims:
        if not claim.ready:
            yield _documents(context, claim)


def findings(context: EncounterContext, claims: Iterable[Claim]) -> Iterator[Finding]:
    """Yield charges without a service, unused bags, the withdrawal, and bookings after it."""
    claimed = {event for claim in claims for line in claim.lines for event in line.reason.events}
    for charge in context.record.charges if not claimed else ():
        yield Finding("charge_unclaimed", events=(charge.event_id,))
    for fact in left_over(context):
        yield Finding("disposition_due", fact.event_id, (fact.event_id,))
    left = context.record.withdrawal
    if left is None:
        return
    detail = "cells are in manufacturing; notify the manufacturer" if in_manufacturing(context) else ""
    yield Finding("withdrawn", events=(left.event_id,), detail=detail)
    for booking in context.record.appointments:
        if booking.status == "booked" and booking.starts_at > max(left.occurred, context.now):
            yield Finding("withdrawn_booking", booking.events[0], booking.events)


def _documents(context: EncounterContext, claim: Claim) -> Wait:
    events = tuple(sorted({event for line in claim.lines for event in line.reason.events if event in context.by_event}))
    last = context.day_end(claim.statement_through, claim.facility)
    title = f"the documents of Claim {claim.key}"
    return wait(context, "claim_waiting_for_coding", Stage.MONITORING, title, last, "coding", events, claim.key)
