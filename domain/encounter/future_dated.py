"""What lies ahead: papers and records that are dated later than now. They are kept, and count from their date.

A gate that opens today rests on what exists today. Of a service that was performed the papers of its own day decide, so
this asks about services that are still to come only; plans (bookings, changes of the plan) may speak of the future.

An event may be of a time to come as a whole (`time`, design section 4): a rehearsal of an encounter, say. It is taken at
its word then, and only what it dates later than itself lies ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from domain.encounter.facts import Fact
from domain.events import EventData
from domain.events.access import EvidenceAdded, ReferralReceived
from domain.events.care import InfusionCompleted, InfusionStarted, InfusionStopped, LymphodepletionAdministered
from domain.events.cells import ApheresisCompleted, CustodyRecorded, ProductReleased

OPENING: Final = (CustodyRecorded, ProductReleased, EvidenceAdded)
"""What opens gates by being there and is dated by itself; others that do (approvals, certificates) have their event's time."""

PERFORMED: Final = (
    ApheresisCompleted,
    LymphodepletionAdministered,
    InfusionStarted,
    InfusionStopped,
    InfusionCompleted,
)
"""What is written down when it was done."""

Midnight = Callable[[date], datetime]


def counts_from(fact: Fact[EventData], midnight: Midnight) -> datetime:
    """The moment from which a fact that opens gates counts: its own, of a paper the beginning of the day it is dated.

    Args:
        midnight: the beginning of a day at the place of care.
    """
    return midnight(fact.data.dated) if isinstance(fact.data, EvidenceAdded) else fact.occurred


def future_records(
    facts: Iterable[Fact[EventData]], limit: datetime, midnight: Midnight
) -> Iterator[tuple[str, datetime]]:
    """The event of what opens gates and counts neither by the limit nor by its own time, with the moment it counts from;
    and of services documented for after the limit.
    """
    for fact in facts:
        moments = [midnight(document.dated) for document in _documents(fact)]
        if isinstance(fact.data, OPENING):
            moments.append(counts_from(fact, midnight))
        elif isinstance(fact.data, PERFORMED) and fact.occurred > limit:
            yield fact.event_id, fact.occurred
        yield from ((fact.event_id, moment) for moment in moments if moment > max(limit, fact.time))


def performed(fact: Fact[EventData]) -> bool:
    """Whether the fact says that a service was given."""
    return isinstance(fact.data, PERFORMED)


def by(facts: Iterable[Fact[EventData]], limit: datetime, midnight: Midnight) -> tuple[Fact[EventData], ...]:
    """The facts without what opens gates only after the limit, and without the later papers of a referral."""
    return tuple(
        _with_documents_by(fact, limit, midnight)
        for fact in facts
        if not (isinstance(fact.data, OPENING) and counts_from(fact, midnight) > max(limit, fact.time))
    )


def _documents(fact: Fact[EventData]) -> tuple[EvidenceAdded, ...]:
    return fact.data.evidence if isinstance(fact.data, ReferralReceived) else ()


def _with_documents_by(fact: Fact[EventData], limit: datetime, midnight: Midnight) -> Fact[EventData]:
    kept = tuple(document for document in _documents(fact) if midnight(document.dated) <= max(limit, fact.time))
    if len(kept) == len(_documents(fact)):
        return fact
    return replace(fact, data=fact.data.model_copy(update={"evidence": kept}))
