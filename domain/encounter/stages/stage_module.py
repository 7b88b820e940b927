"""What every stage module answers with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from domain.alerts.model import Finding
from domain.encounter.context import Case, Service
from domain.encounter.model import Milestone, Requirement
from domain.events.access import BookableStage
from domain.events.base import Stage


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that should come by `due`. When it does not, the alert `kind` opens; kind None only wakes the encounter."""

    key: str
    kind: str | None
    due: datetime
    stage: Stage
    title: str
    events: tuple[str, ...] = ()


class StageModule(Protocol):
    """The shape of a stage module."""

    STAGE: Stage

    def service(self, case: Case) -> Service: ...
    def asks(self, case: Case, service: Service) -> list[Requirement]: ...
    def happened(self, case: Case) -> bool: ...
    def waits(self, case: Case) -> Iterator[Wait]: ...
    def findings(self, case: Case) -> Iterator[Finding]: ...
    def milestones(self, case: Case) -> Iterator[Milestone]: ...


def wait(
    case: Case,
    kind: str,
    stage: Stage,
    title: str,
    start: datetime,
    window: str,
    events: Iterable[str],
    name: str = "",
) -> Wait:
    """Something that should come within a window of the rulebook, counted from a clinical moment."""
    return wait_until(case, kind, stage, title, start + case.span(window), events, name)


def wait_until(
    case: Case,
    kind: str | None,
    stage: Stage,
    title: str,
    moment: datetime,
    events: Iterable[str],
    name: str = "",
) -> Wait:
    """Something that should come by a clinical moment; a fact received late has its grace all the same.

    What should have come before a cutover is not asked for.
    """
    known = tuple(dict.fromkeys(events))
    heard = case.known_at(known)
    due = moment if heard is None else max(moment, heard + case.grace)
    cutover = case.record.cutover
    if cutover is not None and moment <= cutover.data.at:
        kind = None
    base = kind or "wake"
    return Wait(f"{base}:{name}" if name else base, kind, due, stage, title, known)


def missed(case: Case, stage: BookableStage) -> Iterator[Finding]:
    """Appointments of a stage that were missed and not booked again."""
    if case.bookings(stage):
        return
    for appointment in case.record.appointments:
        if appointment.stage is stage and appointment.status == "missed" and appointment.starts_at > case.attempt.since:
            yield Finding("appointment_missed", stage.value, appointment.events)


def freed(case: Case, stage: BookableStage) -> tuple[str, ...]:
    """The last event that took the stage's booking away (slot lost, cancelled, missed): a new booking counts from it."""
    gone = [a for a in case.record.appointments if a.stage is stage and a.status != "booked"]
    events = [a.events[-1] for a in gone if a.starts_at > case.attempt.since]
    return (max(events, key=lambda event: case.by_event[event].order),) if events else ()


def day_start(case: Case, day: date, facility: str | None = None) -> datetime:
    """Midnight at the beginning of a day at the place of care."""
    return case.day_end(date.fromordinal(day.toordinal() - 1), facility)
