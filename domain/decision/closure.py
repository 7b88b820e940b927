"""When an encounter is over, and how it ended.

After an infusion: the readmission window is over, nobody is in hospital, every claim is ready and clean. After a
withdrawal: the same without the window. A late document opens it again, because closure too is a function of the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from domain.alerts.model import Finding
from domain.billing.model import Claim
from domain.encounter.context import Case
from domain.encounter.gates.cells import in_manufacture, left_over
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


def outcome(case: Case, claims: Iterable[Claim]) -> Outcome | None:
    """How the encounter ended; None while something is still due."""
    end = closes_at(case)
    if end is None or end > case.now or monitoring.open_stays(case):
        return None
    if any(not claim.ready or claim.errors for claim in claims):
        return None
    return ending(case)


def ending(case: Case) -> Outcome:
    """Completed after an infusion, unless the patient died; else what the withdrawal says."""
    left = case.record.withdrawal
    if left is not None and left.data.reason == "death":
        return Outcome.DECEASED
    if case.record.given or left is None:
        return Outcome.COMPLETED
    return OUTCOMES.get(left.data.reason, Outcome.WITHDRAWN)


def closes_at(case: Case) -> datetime | None:
    """The earliest moment of closure by the clock; None while the encounter is under way."""
    left = case.record.withdrawal
    if left is not None and (left.data.reason == "death" or not case.record.given):
        return max(left.occurred + case.span("withdrawal"), left.received_at + case.grace)
    return monitoring.window_end(case)


def waits(case: Case, claims: Iterable[Claim]) -> Iterator[Wait]:
    """Closure itself, and the documents of each claim that is not ready."""
    end = closes_at(case)
    if end is not None:
        yield Wait("wake:closure", None, end, Stage.MONITORING, "closure of the encounter")
    for claim in claims:
        if not claim.ready:
            yield _documents(case, claim)


def findings(case: Case, claims: Iterable[Claim]) -> Iterator[Finding]:
    """Charges that no service explains, bags that are left over, the withdrawal, and what is still booked after it."""
    claimed = {event for claim in claims for line in claim.lines for event in line.reason.events}
    for charge in case.record.charges if not claimed else ():
        yield Finding("charge_unclaimed", events=(charge.event_id,))
    for fact in left_over(case):
        yield Finding("disposition_due", fact.event_id, (fact.event_id,))
    left = case.record.withdrawal
    if left is None:
        return
    detail = "cells are in manufacture, tell the manufacturer" if in_manufacture(case) else ""
    yield Finding("withdrawn", events=(left.event_id,), detail=detail)
    for booking in case.record.appointments:
        if booking.status == "booked" and booking.starts_at > max(left.occurred, case.now):
            yield Finding("withdrawn_booking", booking.events[0], booking.events)


def _documents(case: Case, claim: Claim) -> Wait:
    events = tuple(sorted({event for line in claim.lines for event in line.reason.events if event in case.by_event}))
    last = case.day_end(claim.statement_through, claim.facility)
    title = f"the documents of Claim {claim.key}"
    return wait(case, "claim_waiting_for_coding", Stage.MONITORING, title, last, "coding", events, claim.key)
