"""What must have a running workflow: open encounters and claims that are not settled, as the database knows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, func, select

from domain.billing.submission.model import OUT_OF_USE, State
from store.claims import followed
from store.tables import Encounter, EncounterEvent

FINDINGS_AT_ONCE = 500
"""Identifiers in one statement."""


@dataclass(frozen=True, slots=True)
class LastEvent:
    """The newest event of an encounter; `is_open`: the encounter is not closed."""

    encounter: str
    is_open: bool
    note_key: str
    type: str
    sequence: int
    delivered_at: datetime | None
    decided_sequence: int


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """A claim that is not settled. `run`: the workflow run that followed it last."""

    encounter: str
    letter: str
    ordinal: int
    run: str | None


def last_events(session: Session, since: datetime | None = None) -> dict[str, LastEvent]:
    """The newest event of every encounter, or of those to which one was delivered since a moment."""
    return _last_events(session, since=since)


def _last_events(session: Session, encounter: str | None = None, since: datetime | None = None) -> dict[str, LastEvent]:
    newest: Any = select(
        col(EncounterEvent.encounter_id).label("encounter"), func.max(EncounterEvent.sequence).label("at")
    )
    if encounter is not None:
        newest = newest.where(EncounterEvent.encounter_id == encounter)
    if since is not None:
        newest = newest.where(col(EncounterEvent.delivered_at) >= since)
    last = newest.group_by(col(EncounterEvent.encounter_id)).subquery()
    rows = session.exec(
        select(EncounterEvent, Encounter.status, Encounter.decided_sequence)
        .join(
            last, (col(EncounterEvent.encounter_id) == last.c.encounter) & (col(EncounterEvent.sequence) == last.c.at)
        )
        .join(Encounter, col(Encounter.encounter_id) == col(EncounterEvent.encounter_id))
    )
    return {
        event.encounter_id: LastEvent(
            event.encounter_id,
            status == "open",
            event.note_key,
            event.type,
            event.sequence,
            event.delivered_at,
            decided,
        )
        for event, status, decided in rows
    }


def claims_under_way(session: Session) -> list[OpenClaim]:
    """Claims that are not settled: a paid one is, and a test file that no one answers, unless something is due."""
    found = followed(session, frozenset(State) - OUT_OF_USE - {State.SUPERSEDED})
    return [
        OpenClaim(one.encounter_id, one.letter, one.ordinal, one.status.run)
        for one in found
        if one.status.next_due
        or not (one.state == State.PAID or (one.state == State.TRANSMITTED and one.status.unanswered_in_shadow))
    ]


def unknown_encounters(session: Session, encounters: Collection[str]) -> set[str]:
    """Those of the encounters that are not in the database."""
    wanted = sorted(encounters)
    known: set[str] = set()
    for first in range(0, len(wanted), FINDINGS_AT_ONCE):
        some = wanted[first : first + FINDINGS_AT_ONCE]
        known |= set(session.exec(select(Encounter.encounter_id).where(col(Encounter.encounter_id).in_(some))))
    return set(wanted) - known


def last_event(session: Session, encounter: str) -> LastEvent | None:
    """The newest event of an encounter as it is now."""
    return _last_events(session, encounter).get(encounter)
