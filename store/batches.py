"""Batches in the database: several claims to one trading partner in one interchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from store.claims import ClaimKey, begin_counter, next_count
from store.tables import Batch, Counter, Transmission


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """The place of a claim: the number of its interchange (ISA13) and its number within it (ST02)."""

    interchange: int
    place: int


def counter_of(mode: str, receiver: str) -> str:
    """Return the counter of interchanges to a receiver; its row is the lock for opening, filling and closing batches."""
    return f"interchange {mode} {receiver}"


def take_place(
    session: Session, mode: str, receiver: str, payer: str, form: str, minutes: int, now: datetime
) -> BatchPosition:
    """Return a place in the open batch of the partner, or in a new one; without batches, an interchange of the claim's own.

    Numbers belong to the caller's transaction: without its commit none is used.
    """
    counter = counter_of(mode, receiver)
    if not minutes:
        return BatchPosition(next_count(session, counter), 1)
    _lock(session, counter)
    of_partner = (Batch.mode == mode, Batch.receiver_id == receiver, Batch.payer == payer, Batch.form == form)
    fits = select(Batch).where(*of_partner, col(Batch.closed_at).is_(None), Batch.closes_at > now)
    batch = session.exec(fits.order_by(col(Batch.interchange))).first()
    if batch is None:
        batch = Batch(
            mode=mode,
            receiver_id=receiver,
            interchange=next_count(session, counter),
            payer=payer,
            form=form,
            opened_at=now,
            closes_at=now + timedelta(minutes=minutes),
        )
        session.add(batch)
        session.flush()
    taken = session.exec(select(func.max(Transmission.set_number)).where(*_in(batch))).one()
    return BatchPosition(batch.interchange, 1 + (taken or 0))


def batch_of(session: Session, sent: Transmission) -> Batch | None:
    """Return the batch of a transmission; None for an interchange of its own."""
    return session.get(Batch, (sent.mode, sent.receiver_id, sent.interchange))


def close(session: Session, batch: Batch, now: datetime) -> None:
    """Close the batch: no claim is added to it any more."""
    _lock(session, counter_of(batch.mode, batch.receiver_id))
    session.refresh(batch)
    batch.closed_at = batch.closed_at or now
    session.add(batch)


def members(session: Session, batch: Batch) -> Sequence[Transmission]:
    """Return the transmissions of a batch by their places."""
    found = select(Transmission).where(*_in(batch)).order_by(col(Transmission.set_number))
    return session.exec(found).all()


def _in(batch: Batch) -> tuple[bool, bool, bool]:
    return (
        Transmission.mode == batch.mode,
        Transmission.receiver_id == batch.receiver_id,
        Transmission.interchange == batch.interchange,
    )


def _lock(session: Session, counter: str) -> None:
    query = select(Counter).where(Counter.name == counter).with_for_update()
    if session.exec(query).first() is None:  # the first claim to this receiver
        begin_counter(session, counter)
        session.exec(query).one()


def unwritten(session: Session, key: ClaimKey) -> tuple[Transmission, Batch] | None:
    """Return the version of a claim, current or not, with a place in a batch whose file is not written yet."""
    encounter, letter, ordinal = key
    shared = (
        Batch.mode == Transmission.mode,
        Batch.receiver_id == Transmission.receiver_id,
        Batch.interchange == Transmission.interchange,
    )
    found = (
        select(Transmission, Batch)
        .where(*shared, col(Batch.written_at).is_(None), col(Transmission.written_at).is_(None))
        .where(Transmission.encounter_id == encounter, Transmission.letter == letter, Transmission.ordinal == ordinal)
        .order_by(col(Transmission.version))
    )
    return session.exec(found).first()
