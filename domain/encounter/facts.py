"""Facts: the set of an encounter's events, corrected and put in clinical order.

Order of arrival and repetition have no effect: facts are sorted by (clinical time, `time`, source, id), all of them data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from domain.events import EventData, InvalidEvent, parse_data
from domain.events.governance import CorrectionMade

T = TypeVar("T", bound=EventData)
T_co = TypeVar("T_co", bound=EventData, covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T_co]):
    """One event of the inbox as the domain sees it.

    `event_id` is the opaque id of the inbox row. `source` and `id` are the sender's and may identify a person, so they are
    used for ordering and corrections only and are never part of an answer.
    """

    event_id: str
    source: str
    id: str
    time: datetime
    received_at: datetime
    data: T_co
    corrected_by: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return self.data.event_type

    @property
    def occurred(self) -> datetime:
        """The clinical time of the fact."""
        return self.data.occurred(self.time)

    @property
    def order(self) -> tuple[datetime, datetime, str, str]:
        return (self.occurred, self.time, self.source, self.id)


@dataclass(frozen=True)
class Facts:
    """An encounter's facts after corrections, in clinical order. `broken` names corrections that do not fit their event."""

    all: tuple[Fact[EventData], ...] = ()
    retracted: tuple[Fact[EventData], ...] = ()
    broken: tuple[str, ...] = ()
    _by_type: dict[type[EventData], tuple[Fact[EventData], ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def of(self, model: type[T]) -> tuple[Fact[T], ...]:
        """The facts of one type, in clinical order."""
        if model not in self._by_type:
            self._by_type[model] = tuple(fact for fact in self.all if isinstance(fact.data, model))
        return self._by_type[model]  # type: ignore[return-value]

    def last(self, model: type[T]) -> Fact[T] | None:
        """The latest fact of a type."""
        found = self.of(model)
        return found[-1] if found else None


def fold(events: Iterable[Fact[EventData]]) -> Facts:
    """Apply every correction and sort the facts. Duplicates by (source, id) count once."""
    unique = {(event.source, event.id): event for event in sorted(events, key=lambda e: e.event_id, reverse=True)}
    ordered = sorted(unique.values(), key=lambda fact: fact.order)
    corrections = [fact for fact in ordered if isinstance(fact.data, CorrectionMade)]
    kept: list[Fact[EventData]] = []
    retracted: list[Fact[EventData]] = []
    broken: list[str] = []
    for fact in ordered:
        if isinstance(fact.data, CorrectionMade):
            kept.append(fact)
            continue
        corrected, gone, failed = _corrected(fact, corrections)
        broken += failed
        (retracted if gone else kept).append(corrected)
    kept.sort(key=lambda fact: fact.order)
    return Facts(tuple(kept), tuple(retracted), tuple(broken))


def _corrected(
    fact: Fact[EventData], corrections: Sequence[Fact[EventData]]
) -> tuple[Fact[EventData], bool, list[str]]:
    """Return the fact with its corrections applied; the latest valid correction counts."""
    data, gone, by, broken = fact.data, False, [], []
    for correction in corrections:
        change = correction.data
        assert isinstance(change, CorrectionMade)
        if (change.of.source, change.of.id) != (fact.source, fact.id):
            continue
        if change.retract:
            gone = True
        else:
            try:
                data = parse_data(fact.type, change.replacement or {}, kept=True)
            except InvalidEvent:
                broken.append(correction.event_id)
                continue
            gone = False
        by.append(correction.event_id)
    if not by:
        return fact, False, broken
    changed = Fact(fact.event_id, fact.source, fact.id, fact.time, fact.received_at, data, tuple(by))
    return changed, gone, broken
