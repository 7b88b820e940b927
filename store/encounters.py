"""Encounters in the database: what the last decision showed, and which decision is carried out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, func, or_, select

from store.identifiers import ORDER
from store.keys import Keyring
from store.open_work import claims_under_way
from store.tables import Alias, Encounter, EncounterEvent, sealed_for

STRAGGLER = timedelta(hours=1)
"""No attempt of an activity outlives its decision for so long: its time limit is shorter, and so is every wait in it."""


def is_newer(done: tuple[int, datetime], asked: tuple[int, datetime]) -> bool:
    """True when a newer question than the one asked was answered: of more facts, or of the same facts later.

    A moment far ahead of the question's is that of a server clock which was wrong and was set back. It counts for nothing:
    otherwise every decision on the same facts would be passed over until that moment, without a word.
    """
    if done[0] != asked[0]:
        return done[0] > asked[0]
    return asked[1] < done[1] <= asked[1] + STRAGGLER


def begin_decision(session: Session, encounter: str, sequence: int, now: datetime) -> bool:
    """Lock the encounter to carry out a decision; False where a newer decision was begun.

    A retried activity of an older decision must not undo what a newer one did, not even one on the same facts.
    """
    row = session.get_one(Encounter, encounter, with_for_update=True)
    if is_newer((row.acted_sequence, row.acted_at or now), (sequence, now)):
        return False
    row.acted_sequence, row.acted_at = sequence, now
    session.add(row)
    return True


def show(session: Session, encounter: str, **columns: Any) -> None:
    """Write what a decision shows of an encounter."""
    row = session.get_one(Encounter, encounter)
    for name, value in columns.items():
        setattr(row, name, value)
    session.add(row)


def events_since_shown(session: Session, encounter: str, up_to_sequence: int) -> list[str]:
    """The events up to a sequence that the decision shown last did not know."""
    shown = select(Encounter.decided_sequence).where(Encounter.encounter_id == encounter)
    rows = select(EncounterEvent.event_id).where(
        EncounterEvent.encounter_id == encounter,
        col(EncounterEvent.sequence) > shown.scalar_subquery(),
        col(EncounterEvent.sequence) <= up_to_sequence,
    )
    return list(session.exec(rows.order_by(col(EncounterEvent.sequence))))


def last_sequence(session: Session, encounter: str) -> int:
    """The sequence of the newest event of an encounter; 0 if it is not known."""
    found = session.exec(select(Encounter.next_sequence).where(Encounter.encounter_id == encounter)).first()
    return (found or 1) - 1


def has_event(session: Session, encounter: str, event_type: str) -> bool:
    """True when the encounter has received an event of the type."""
    query = select(EncounterEvent.event_id).where(
        EncounterEvent.encounter_id == encounter, EncounterEvent.type == event_type
    )
    return session.exec(query).first() is not None


def order_number(session: Session, keys: Keyring, encounter: str) -> str | None:
    """An order number of an encounter, the same one at each call; None where none is known."""
    query = select(Alias).where(Alias.encounter_id == encounter, Alias.kind == ORDER)
    alias = session.exec(query.order_by(col(Alias.alias_key))).first()
    return keys.open(alias.value, sealed_for("aliases.value", alias.alias_key)).decode() if alias else None


def with_undelivered_events(session: Session) -> list[str]:
    """Encounters with an event that their workflow has not received."""
    query = select(EncounterEvent.encounter_id).where(col(EncounterEvent.delivered_at).is_(None))
    return list(session.exec(query.distinct()))


def undelivered_events(session: Session, encounter: str, limit: int) -> Sequence[EncounterEvent]:
    """The first events that the workflow of an encounter has not received, by sequence."""
    query = select(EncounterEvent).where(
        EncounterEvent.encounter_id == encounter, col(EncounterEvent.delivered_at).is_(None)
    )
    return session.exec(query.order_by(col(EncounterEvent.sequence)).limit(limit)).all()


def mark_delivered(
    session: Session, encounter: str, sequences: Collection[int], now: datetime
) -> list[tuple[str, int]]:
    """Note that the workflow received events; returns event and sequence of each that was not noted yet, by sequence."""
    noted = session.execute(
        update(EncounterEvent)
        .where(col(EncounterEvent.encounter_id) == encounter, col(EncounterEvent.sequence).in_(sequences))
        .where(col(EncounterEvent.delivered_at).is_(None))
        .values(delivered_at=now)
        .returning(col(EncounterEvent.event_id), col(EncounterEvent.sequence))
    )
    return sorted(((event, sequence) for event, sequence in noted), key=lambda one: one[1])


def deliver_last_event_again(session: Session) -> int:
    """Mark the last event of each encounter under way as undelivered; returns how many.

    Under way: open, or with a claim that is not settled. The last event alone: a note carries the facts up to its sequence,
    and a decision on fewer of them than were decided on before would undo what followed from the others.
    """
    last = session.exec(
        select(EncounterEvent.encounter_id, func.max(EncounterEvent.sequence))
        .join(Encounter, col(Encounter.encounter_id) == col(EncounterEvent.encounter_id))
        .where(or_(Encounter.status == "open", col(Encounter.encounter_id).in_(_with_claims_under_way(session))))
        .group_by(EncounterEvent.encounter_id)
    ).all()
    for encounter, sequence in last:
        session.get_one(EncounterEvent, (encounter, sequence)).delivered_at = None
    return len(last)


def _with_claims_under_way(session: Session) -> set[str]:
    """Encounters with a claim that is not settled."""
    return {one.encounter for one in claims_under_way(session)}
