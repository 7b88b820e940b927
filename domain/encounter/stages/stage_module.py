"""The functions that every stage module has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from domain.alerts.model import Finding
from domain.encounter.context import EncounterContext, Service
from domain.encounter.model import Milestone, Requirement
from domain.events.access import BookableStage
from domain.events.base import Stage


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that should arrive by `due`. If it does not, the alert `kind` opens; kind None only wakes the encounter."""

    key: str
    kind: str | None
    due: datetime
    stage: Stage
    title: str
    events: tuple[str, ...] = ()


class StageModule(Protocol):
    """The shape of a stage module."""

    STAGE: Stage

    def service(self, context: EncounterContext) -> Service: ...
    def gate_requirements(self, context: EncounterContext, service: Service) -> list[Requirement]: ...
    def happened(self, context: EncounterContext) -> bool: ...
    def waits(self, context: EncounterContext) -> Iterator[Wait]: ...
    def findings(self, context: EncounterContext) -> Iterator[Finding]: ...
    def milestones(self, context: EncounterContext) -> Iterator[Milestone]: ...


def wait(
    context: EncounterContext,
    kind: str,
    stage: Stage,
    title: str,
    start: datetime,
    window: str,
    events: Iterable[str],
    name: str = "",
) -> Wait:
    """Return a wait that ends with a window of the rulebook, counted from a clinical moment."""
    return wait_until(context, kind, stage, title, start + context.span(window), events, name)


def wait_until(
    context: EncounterContext,
    kind: str | None,
    stage: Stage,
    title: str,
    moment: datetime,
    events: Iterable[str],
    name: str = "",
) -> Wait:
    """Return a wait that ends at a clinical moment; a fact received late still gets its grace period.

    What should have arrived before a cutover is not required.
    """
    known = tuple(dict.fromkeys(events))
    received = context.known_at(known)
    due = moment if received is None else max(moment, received + context.grace)
    cutover = context.record.cutover
    if cutover is not None and moment <= cutover.data.at:
        kind = None
    base = kind or "wake"
    return Wait(f"{base}:{name}" if name else base, kind, due, stage, title, known)


def missed(context: EncounterContext, stage: BookableStage) -> Iterator[Finding]:
    """Appointments of a stage that were missed and not booked again."""
    if context.bookings(stage):
        return
    for appointment in context.record.appointments:
        if (
            appointment.stage is stage
            and appointment.status == "missed"
            and appointment.starts_at > context.attempt.since
        ):
            yield Finding("appointment_missed", stage.value, appointment.events)


def freed(context: EncounterContext, stage: BookableStage) -> tuple[str, ...]:
    """The last event that removed the stage's booking (slot lost, canceled, missed): a new booking counts from it."""
    gone = [a for a in context.record.appointments if a.stage is stage and a.status != "booked"]
    events = [a.events[-1] for a in gone if a.starts_at > context.attempt.since]
    return (max(events, key=lambda event: context.by_event[event].order),) if events else ()


def day_start(context: EncounterContext, day: date, facility: str | None = None) -> datetime:
    """Return midnight at the beginning of a day at the place of care."""
    return context.day_end(date.fromordinal(day.toordinal() - 1), facility)
