"""Transfers recorded out of order: clocks of two sites that differ, or a time entered wrong.

The chain keeps every record as sent. Staff must find the error, because no clock is known to be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext
from domain.encounter.gates.chain import ORDER, transfers
from domain.events.cells import CustodyStep

ANY_TIME = frozenset(
    {CustodyStep.MANUFACTURING_FAILED, CustodyStep.OUT_OF_SPECIFICATION, CustodyStep.AVAILABLE, CustodyStep.DISPOSITION}
)
"""Steps without a fixed place in the order."""

COLLECTED = ORDER.index(CustodyStep.PACKED) - 0.5


@dataclass(frozen=True, slots=True)
class _Step:
    place: float
    at: datetime
    event: str


def out_of_order(context: EncounterContext) -> Iterator[Finding]:
    """Yield one finding for each transfer recorded before one that it must follow, by more than clocks may differ."""
    allowed = context.span("custody_clock_skew")
    steps = sorted(_first_of_each(context), key=lambda step: step.place)
    for number, step in enumerate(steps):
        later = max(steps[:number], key=lambda before: before.at, default=None)
        if later is not None and later.place < step.place and later.at - step.at > allowed:
            yield Finding("custody_out_of_order", step.event, (later.event, step.event))


def _first_of_each(context: EncounterContext) -> Iterator[_Step]:
    """The first record of each step of this attempt; a second collection or a change of center repeats steps."""
    found: dict[float, _Step] = {}
    for step in _steps(context):
        known = found.get(step.place)
        if known is None or step.at < known.at:
            found[step.place] = step
    yield from found.values()


def _steps(context: EncounterContext) -> Iterator[_Step]:
    others = {fact.data.bag_id for fact in context.record.releases} - {context.attempt.bag_id}
    for fact in transfers(context, None):
        if fact.data.step not in ANY_TIME and fact.data.bag_id not in others:
            yield _Step(ORDER.index(fact.data.step), fact.occurred, fact.event_id)
    for collection in context.attempt.collections:
        yield _Step(COLLECTED, collection.occurred, collection.event_id)
    if context.attempt.release is not None:
        release = context.attempt.release
        yield _Step(ORDER.index(CustodyStep.RELEASED), release.occurred, release.event_id)
    for infusion in context.record.infusions:
        yield _Step(ORDER.index(CustodyStep.INFUSED), infusion.started_at, infusion.events[0])
