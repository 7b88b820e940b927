"""Attempts at a product: failed manufacturing or a destroyed bag ends one, a new collection starts the next (G505)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.encounter.facts import Fact
from domain.encounter.record import Record
from domain.events import EventData, cells
from domain.events.cells import CustodyStep

LOST = ("destroy", "return")
RESCUED = ("release", "expanded_access")
BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The current attempt.

    Attributes:
        number: counted from 1.
        since: the moment the previous attempt ended; the beginning of time for the first.
        lost: the events that ended previous attempts, in order.
        ends: when they ended, in order.
        collections: the collections of this attempt.
        release: the release of the bag of this attempt, if there is one.
    """

    number: int
    since: datetime
    lost: tuple[str, ...]
    ends: tuple[datetime, ...]
    collections: tuple[Fact[cells.ApheresisCompleted], ...]
    release: Fact[cells.ProductReleased] | None

    @property
    def bag_id(self) -> str | None:
        return self.release.data.bag_id if self.release else None

    @property
    def first_collection(self) -> Fact[cells.ApheresisCompleted] | None:
        return self.collections[0] if self.collections else None


def attempt(record: Record) -> Attempt:
    """Return the current attempt: what was collected and released since the last loss."""
    ends = _ends(record)
    release = _release(record, ends)
    passed = [end for end in ends if release is None or end[0] < release.occurred]
    since = passed[-1][0] if passed else BEGINNING
    collections = tuple(
        fact
        for fact in record.collections
        if fact.occurred > since and (release is None or fact.occurred <= release.occurred)
    )
    lost, moments = tuple(event for _, event, _ in passed), tuple(moment for moment, _, _ in passed)
    return Attempt(1 + len(passed), since, lost, moments, collections, release)


def ends_attempt(data: EventData) -> bool:
    """Whether the event ends an attempt: a failure, or a disposition that destroys or returns the bag."""
    match data:
        case cells.ManufacturingFailed():
            return True
        case cells.CustodyRecorded():
            return data.step is CustodyStep.MANUFACTURING_FAILED
        case cells.DispositionSigned():
            return data.disposition in LOST
    return False


def failed(record: Record) -> tuple[Fact[cells.ManufacturingFailed], ...]:
    """Manufacturing runs that ended without a usable product: no disposition accepts the result."""
    return tuple(fact for fact in record.failures if not _rescued(record, fact))


def disposition_of(record: Record, bag_id: str) -> Fact[cells.DispositionSigned] | None:
    """The last signed disposition of a bag."""
    signed = [fact for fact in record.dispositions if fact.data.bag_id == bag_id]
    return signed[-1] if signed else None


def _rescued(record: Record, failure: Fact[cells.ManufacturingFailed]) -> bool:
    """Whether the bag is out of specification and a signed disposition accepts it (expanded access)."""
    return failure.data.out_of_specification and any(
        signed.data.disposition in RESCUED
        and signed.occurred >= failure.occurred
        and failure.data.bag_id in (None, signed.data.bag_id)
        for signed in record.dispositions
    )


def _ends(record: Record) -> list[tuple[datetime, str, str | None]]:
    """When attempts ended: by failure, by disposition of the bag, or by a change of product.

    A disposition signed after the next collection does not end the attempt of that collection.
    """
    ends: list[tuple[datetime, str, str | None]] = [(fact.occurred, fact.event_id, None) for fact in failed(record)]
    known = {fact.data.coi_id for fact in record.failures}
    ends += [
        (fact.occurred, fact.event_id, None)
        for fact in record.custody
        if fact.data.step is CustodyStep.MANUFACTURING_FAILED and fact.data.coi_id not in known
    ]
    for fact in record.releases:
        signed = disposition_of(record, fact.data.bag_id)
        if signed is not None and signed.data.disposition in LOST:
            again = [c.occurred - timedelta.resolution for c in record.collections if c.occurred > fact.occurred]
            ends.append((min([signed.occurred, *again]), signed.event_id, fact.data.bag_id))
    ends += [(fact.occurred, fact.event_id, None) for fact in record.switches if _has_cells(record, fact.occurred)]
    return sorted(ends, key=lambda end: (end[0], end[1]))


def _has_cells(record: Record, before: datetime) -> bool:
    """Whether anything was collected or released before a moment."""
    return any(fact.occurred < before for fact in (*record.collections, *record.releases))


def _release(record: Record, ends: list[tuple[datetime, str, str | None]]) -> Fact[cells.ProductReleased] | None:
    """The release of the bag that is infused or due to be infused; None when no bag is usable."""
    at_bedside = [infusion.bag_id for infusion in record.infusions]
    infused = [fact for fact in record.releases if fact.data.bag_id in at_bedside]
    if infused:
        return infused[-1]
    usable = [
        fact
        for fact in record.releases
        if all(end < fact.occurred if bag is None else bag != fact.data.bag_id for end, _, bag in ends)
    ]
    return usable[-1] if usable else None
