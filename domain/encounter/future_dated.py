"""Documents and records that are dated later than now. They are kept, and count from their date.

A gate that opens today uses what exists today. A performed service is judged by the documents of its own day, so this applies
only to services in the future. Plans (bookings, changes of the plan) may refer to the future.

An event may be in the future as a whole (`time`, design section 4), for example in a rehearsal of an encounter. It is then
accepted as it is, and only what it dates later than itself is future dated.
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
"""Records that open gates and carry their own date; for others (approvals, certificates) the event's time counts."""

PERFORMED: Final = (
    ApheresisCompleted,
    LymphodepletionAdministered,
    InfusionStarted,
    InfusionStopped,
    InfusionCompleted,
)
"""Services that are documented when they are performed."""

Midnight = Callable[[date], datetime]


def counts_from(fact: Fact[EventData], midnight: Midnight) -> datetime:
    """Return the moment from which a fact that opens gates counts; for a document, the beginning of its day.

    Args:
        midnight: the beginning of a day at the place of care.
    """
    return midnight(fact.data.dated) if isinstance(fact.data, EvidenceAdded) else fact.occurred


def future_records(
    facts: Iterable[Fact[EventData]], limit: datetime, midnight: Midnight
) -> Iterator[tuple[str, datetime]]:
    """Yield each event that opens gates later than the limit and its own time, with the moment from which it counts;
    and each service documented for after the limit.
    """
    for fact in facts:
        moments = [midnight(document.dated) for document in _documents(fact)]
        if isinstance(fact.data, OPENING):
            moments.append(counts_from(fact, midnight))
        elif isinstance(fact.data, PERFORMED) and fact.occurred > limit:
            yield fact.event_id, fact.occurred
        yield from ((fact.event_id, moment) for moment in moments if moment > max(limit, fact.time))


def performed(fact: Fact[EventData]) -> bool:
    """Whether the fact documents a service as given."""
    return isinstance(fact.data, PERFORMED)


def by(facts: Iterable[Fact[EventData]], limit: datetime, midnight: Midnight) -> tuple[Fact[EventData], ...]:
    """Return the facts without those that open gates after the limit, and without later documents of a referral."""
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
