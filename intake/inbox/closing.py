"""Closing what will never be released: who said so and why stays with the entry, and so does its original."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from intake import alerts
from intake.inbox import quarantine
from store.alerts import resolve
from store.keys import Keyring
from store.tables import Inbox, Quarantine, sealed_for
from store.vault import audit

REASON = "closed by hand; only a replay applies it"
CLOSABLE = (quarantine.WAITING, quarantine.INVALID, quarantine.CONFLICT, quarantine.UNMAPPED)


class NotOpen(ValueError):
    """The entry asks nobody for anything: released, erased or closed already, or set aside and gone by itself."""


@dataclass(frozen=True, slots=True)
class ClosingReason:
    """That an entry will never be released.

    Attributes:
        by: the role in which somebody decided it.
        because: corrected (it came anew, as it should be), duplicate, not_ours, other.
        note: what else there is to say; kept sealed, for it may name a patient.
        actor: the authenticated caller, for the audit.
    """

    by: str
    because: str
    note: str | None
    actor: str


def close(session: Session, keys: Keyring, quarantine_id: str, said: ClosingReason, now: datetime) -> Quarantine:
    """Close an entry: it is counted and alerted no more, and a copy of it that comes again stays closed, too.

    Raises:
        UnknownEntry: no entry has this id.
        NotOpen: there is nothing to close.
    """
    row = session.get(Quarantine, quarantine_id)
    if row is None:
        raise quarantine.UnknownEntry(quarantine_id)
    if row.state not in CLOSABLE:
        raise NotOpen(quarantine_id)
    row.closed_from, row.state, row.resolved_at = row.state, quarantine.CLOSED, now
    row.closed_by, row.closed_because, row.closed_note = said.by, said.because, None
    if said.note:
        row.closed_note = keys.seal(said.note.encode(), sealed_for("quarantine.closed_note", quarantine_id))
    session.add(row)
    session.flush()
    for key in _alerts_of(session, row):
        resolve(session, key, now)
    audit(session, said.actor, "close", quarantine_id, quarantine.CLOSED, now)
    return row


def note_of(keys: Keyring, row: Quarantine) -> str:
    """Returns the note of the last closing of an entry; it may name a patient."""
    if row.closed_note is None:
        return ""
    return keys.open(row.closed_note, sealed_for("quarantine.closed_note", row.quarantine_id)).decode()


def reopen(row: Quarantine) -> None:
    """Give a closed entry the state it had; who closed it last and why stays with it."""
    if row.state == quarantine.CLOSED and row.closed_from is not None:
        row.state, row.resolved_at = row.closed_from, None


def closed_one(session: Session, dedupe_key: str, body_hash: str) -> Quarantine | None:
    """The closed entry that is this very event."""
    query = select(Quarantine).where(Quarantine.dedupe_key == dedupe_key, Quarantine.body_hash == body_hash)
    return session.exec(query.where(Quarantine.state == quarantine.CLOSED)).first()


def _alerts_of(session: Session, row: Quarantine) -> Iterator[str]:
    """Keys of the alerts that stood because of the entry alone."""
    yield alerts.reply_file_refused(row.quarantine_id).key
    if row.closed_from == quarantine.WAITING:
        yield alerts.other_patient(row.dedupe_key).key
    if row.closed_from == quarantine.CONFLICT:
        same = select(Quarantine).where(Quarantine.dedupe_key == row.dedupe_key)
        if session.exec(same.where(Quarantine.state == quarantine.CONFLICT)).first() is None:
            first = session.exec(same.where(col(Quarantine.event_id).is_not(None))).first()
            event = first.event_id if first else None
            event = event or session.exec(select(Inbox.event_id).where(Inbox.dedupe_key == row.dedupe_key)).first()
            if event:
                yield alerts.event_conflict(event).key
