"""Closes quarantine entries that will never be released; role, reason and original are kept."""

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

REASON = "closed in quarantine; only a replay applies it"
CLOSABLE = (quarantine.WAITING, quarantine.INVALID, quarantine.CONFLICT, quarantine.UNMAPPED)


class NotOpen(ValueError):
    """The entry needs no work: released, erased or closed already, or a retained message."""


@dataclass(frozen=True, slots=True)
class ClosingReason:
    """Who closed an entry, and why.

    Attributes:
        by: the role that decided it.
        because: corrected (sent again with correct content), duplicate, not_ours, other.
        note: further explanation; kept sealed, because it may name a patient.
        actor: the authenticated caller, for the audit.
    """

    by: str
    because: str
    note: str | None
    actor: str


def close(session: Session, keys: Keyring, quarantine_id: str, reason: ClosingReason, now: datetime) -> Quarantine:
    """Close an entry: it is no longer counted or alerted, and a copy received later stays closed, too.

    Raises:
        UnknownEntry: no entry has this id.
        NotOpen: the entry needs no work.
    """
    row = session.get(Quarantine, quarantine_id)
    if row is None:
        raise quarantine.UnknownEntry(quarantine_id)
    if row.state not in CLOSABLE:
        raise NotOpen(quarantine_id)
    row.closed_from, row.state, row.resolved_at = row.state, quarantine.CLOSED, now
    row.closed_by, row.closed_because, row.closed_note = reason.by, reason.because, None
    if reason.note:
        row.closed_note = keys.seal(reason.note.encode(), sealed_for("quarantine.closed_note", quarantine_id))
    session.add(row)
    session.flush()
    for key in _alerts_of(session, row):
        resolve(session, key, now)
    audit(session, reason.actor, "close", quarantine_id, quarantine.CLOSED, now)
    return row


def note_of(keys: Keyring, row: Quarantine) -> str:
    """The note of the last closing of an entry; it may name a patient."""
    if row.closed_note is None:
        return ""
    return keys.open(row.closed_note, sealed_for("quarantine.closed_note", row.quarantine_id)).decode()


def reopen(row: Quarantine) -> None:
    """Restore the state of a closed entry; the last closing stays on record."""
    if row.state == quarantine.CLOSED and row.closed_from is not None:
        row.state, row.resolved_at = row.closed_from, None


def closed_one(session: Session, dedupe_key: str, body_hash: str) -> Quarantine | None:
    """The closed entry of the same event and content."""
    query = select(Quarantine).where(Quarantine.dedupe_key == dedupe_key, Quarantine.body_hash == body_hash)
    return session.exec(query.where(Quarantine.state == quarantine.CLOSED)).first()


def _alerts_of(session: Session, row: Quarantine) -> Iterator[str]:
    """Keys of the alerts that were open because of the entry alone."""
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
