"""Bookings and stays: each has its last reported state, whatever arrived first.

Scheduling and registration move, cancel, reverse and restart; each message names its booking or visit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from domain.encounter.facts import Fact, Facts
from domain.events import EventData, access, care
from domain.events.access import BookableStage
from domain.events.base import Setting
from domain.events.care import AdmissionClass

T = TypeVar("T", bound=EventData)


_Booked = access.AppointmentBooked | access.AppointmentRescheduled
_Booking = _Booked | access.AppointmentCancelled | access.AppointmentMissed
_Admission = care.AdmissionStarted | care.AdmissionChanged | care.AdmissionEnded | care.AdmissionCancelled


@dataclass(frozen=True, slots=True)
class Appointment:
    """A booking after every move. `status` is booked, cancelled or missed."""

    id: str
    stage: BookableStage
    starts_at: datetime
    facility: str
    setting: Setting
    status: str
    events: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """The current state of an admission. `inpatient_from` is the moment of the inpatient order, None while outpatient.

    `visit` is true of a plain outpatient visit: registration seldom reports its end, and nothing waits for the end. `payer` is
    the payer that registration reports, or None.
    """

    id: str
    facility: str
    started_at: datetime
    inpatient_from: datetime | None
    ended_at: datetime | None
    type: str
    source: str
    discharge_status: str | None
    attending_npi: str | None
    events: tuple[str, ...]
    visit: bool = False
    payer: str | None = None

    @property
    def inpatient(self) -> bool:
        return self.inpatient_from is not None

    def covers(self, moment: datetime) -> bool:
        """Whether the patient is in this stay as an inpatient now."""
        return (
            self.inpatient_from is not None
            and self.inpatient_from <= moment
            and (self.ended_at is None or moment <= self.ended_at)
        )


def appointments(facts: Facts) -> list[Appointment]:
    """Return each booking after all reports on it: booked again after its cancellation, it is booked."""
    reported: dict[str, list[Fact[_Booking]]] = {}
    every: tuple[Fact[_Booking], ...] = (
        *facts.of(access.AppointmentBooked),
        *facts.of(access.AppointmentRescheduled),
        *facts.of(access.AppointmentCancelled),
        *facts.of(access.AppointmentMissed),
    )
    for fact in every:
        reported.setdefault(fact.data.appointment_id, []).append(fact)
    found = (_appointment(ordered) for one in reported.values() if (ordered := _from_the_beginning(one, _books)))
    return [one for one in found if one is not None]


def _books(data: object) -> bool:
    """Whether the fact is a booking, or a move complete enough to replace a booking that was not reported."""
    return isinstance(data, access.AppointmentBooked) or (
        isinstance(data, access.AppointmentRescheduled) and None not in (data.stage, data.facility, data.setting)
    )


def _appointment(ordered: list[Fact[_Booking]]) -> Appointment | None:
    current: Appointment | None = None
    for fact in ordered:
        data = fact.data
        if isinstance(data, _Booked):
            stage = data.stage or (current.stage if current else None)
            facility = data.facility or (current.facility if current else None)
            setting = data.setting or (current.setting if current else None)
            if stage is None or facility is None or setting is None:
                return None
            current = Appointment(
                data.appointment_id,
                stage,
                data.starts_at,
                facility,
                setting,
                "booked",
                (*(current.events if current else ()), fact.event_id),
                max(current.received_at, fact.received_at) if current else fact.received_at,
            )
        elif current is not None:
            current = replace(
                current,
                status="cancelled" if isinstance(data, access.AppointmentCancelled) else "missed",
                events=(*current.events, fact.event_id),
                received_at=max(current.received_at, fact.received_at),
            )
    return current


def _from_the_beginning(facts: list[Fact[T]], begins: Callable[[object], bool]) -> list[Fact[T]]:
    """Return the facts of one booking or stay in the order of reporting, its beginning first; empty without a beginning.

    A fact dated before the beginning still applies, since a beginning may be reported with a future date. A move that
    replaces the beginning already includes what came before it.
    """
    ordered = sorted(facts, key=lambda fact: (fact.time, fact.order))
    beginnings = [fact for fact in ordered if begins(fact.data)]
    if not beginnings:
        return []
    first = min(beginnings, key=lambda fact: (not _is_own_beginning(fact.data), fact.time, fact.order))
    if not _is_own_beginning(first.data):
        return ordered[ordered.index(first) :]
    return [first, *(fact for fact in ordered if fact is not first)]


def _is_own_beginning(data: object) -> bool:
    return isinstance(data, access.AppointmentBooked | care.AdmissionStarted)


def _admissions(facts: Facts) -> dict[str, list[Fact[_Admission]]]:
    reported: dict[str, list[Fact[_Admission]]] = {}
    every: tuple[Fact[_Admission], ...] = (
        *facts.of(care.AdmissionStarted),
        *facts.of(care.AdmissionChanged),
        *facts.of(care.AdmissionEnded),
        *facts.of(care.AdmissionCancelled),
    )
    for fact in every:
        reported.setdefault(fact.data.admission_id, []).append(fact)
    return reported


def stays(facts: Facts) -> list[Stay]:
    """Return each stay after all reports on it. A stay that begins again after its cancellation exists."""
    current: list[Stay] = []
    for reported in _admissions(facts).values():
        stay: Stay | None = None
        for fact in _from_the_beginning(reported, lambda data: isinstance(data, care.AdmissionStarted)):
            if isinstance(fact.data, care.AdmissionStarted):
                stay = _started(stay, fact.data, fact.event_id)
            elif stay is not None:
                changed = _changed(stay, fact.data)
                stay = replace(changed, events=(*stay.events, fact.event_id)) if changed else None
        if stay is not None:
            current.append(stay)
    return current


def _started(before: Stay | None, s: care.AdmissionStarted, event: str) -> Stay:
    """Return a stay that begins, or whose beginning is reported again. An earlier end belongs to the stay before."""
    ended = before is not None and before.ended_at is not None and before.ended_at >= s.at
    return Stay(
        id=s.admission_id,
        facility=s.facility,
        started_at=s.at,
        inpatient_from=s.at if s.admission_class is AdmissionClass.INPATIENT else None,
        ended_at=before.ended_at if before and ended else None,
        type=s.type,
        source=s.source,
        discharge_status=before.discharge_status if before and ended else None,
        attending_npi=s.attending_npi or (before.attending_npi if before else None),
        events=(*(before.events if before else ()), event),
        visit=s.admission_class is AdmissionClass.OUTPATIENT,
        payer=s.coverage.payer if s.coverage else (before.payer if before else None),
    )


def _changed(stay: Stay, change: object) -> Stay | None:
    """Return the stay after one change; None when the admission itself was canceled (ADT A11)."""
    match change:
        case care.AdmissionEnded():
            return replace(stay, ended_at=change.at, discharge_status=change.discharge_status)
        case care.AdmissionCancelled(what="discharge"):
            return replace(stay, ended_at=None, discharge_status=None)
        case care.AdmissionCancelled():
            return None
        case care.AdmissionChanged():
            inpatient_from, kind = stay.inpatient_from, change.admission_class
            if change.admission_class is AdmissionClass.INPATIENT:
                inpatient_from = inpatient_from or change.at
            elif change.admission_class is not None:
                inpatient_from = None
            return replace(
                stay,
                facility=change.facility or stay.facility,
                inpatient_from=inpatient_from,
                attending_npi=change.attending_npi or stay.attending_npi,
                visit=stay.visit if kind is None else kind is AdmissionClass.OUTPATIENT,
                payer=change.coverage.payer if change.coverage else stay.payer,
            )
    raise TypeError(type(change).__name__)


def unbegun(facts: Facts) -> tuple[str, ...]:
    """Events that change or end a booking or a stay whose beginning was never reported."""
    lost = [
        fact.event_id
        for reported in _admissions(facts).values()
        if not any(isinstance(fact.data, care.AdmissionStarted | care.AdmissionCancelled) for fact in reported)
        for fact in reported
    ]
    known = {appointment.id for appointment in appointments(facts)}
    moves = {fact.data.appointment_id: fact.event_id for fact in facts.of(access.AppointmentRescheduled)}
    return tuple(lost + [event for number, event in sorted(moves.items()) if number not in known])
