"""When an encounter is over, and how it ended.

After an infusion: the readmission window is over, nobody is in hospital, every claim is ready and clean. After a
withdrawal: the same without the window. A late document opens it again, because closure too is a function of the facts.
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
"""Alerts that ask for something to be done while the encounter is open; questions to the record stay."""

OUTCOMES = {"death": Outcome.DECEASED, "product_unusable": Outcome.PRODUCT_LOST}


def outcome(context: EncounterContext, claims: Iterable[Claim]) -> Outcome | None:
    """How the encounter ended; None while something is still due."""
    end = closes_at(context)
    if end is None or end > context.now or monitoring.open_stays(context):
        return None
    if any(not claim.ready or claim.errors for claim in claims):
        return None
    return ending(context)


def ending(context: EncounterContext) -> Outcome:
    """Completed after an infusion, unless the patient died; else what the withdrawal says."""
    left = context.record.withdrawal
    if left is not None and left.data.reason == "death":
        return Outcome.DECEASED
    if context.record.given or left is None:
        return Outcome.COMPLETED
    return OUTCOMES.get(left.data.reason, Outcome.WITHDRAWN)


def closes_at(context: EncounterContext) -> datetime | None:
    """The earliest moment of closure by the clock; None while the encounter is under way."""
    left = context.record.withdrawal
    if left is not None and (left.data.reason == "death" or not context.record.given):
        return max(left.occurred + context.span("withdrawal"), left.received_at + context.grace)
    return monitoring.window_end(context)


def waits(context: EncounterContext, claims: Iterable[Claim]) -> Iterator[Wait]:
    """Closure itself, and the documents of each claim that is not ready."""
    end = closes_at(context)
    if end is not None:
        yield Wait("wake:closure", None, end, Stage.MONITORING, "closure of the encounter")
    for claim in claims:
        if not claim.ready:
            yield _documents(context, claim)


def findings(context: EncounterContext, claims: Iterable[Claim]) -> Iterator[Finding]:
    """Charges that no service explains, bags that are left over, the withdrawal, and what is still booked after it."""
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
