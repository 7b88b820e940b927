"""Messages that wait for a resource they only name: found by its key, and settled when they were read again with it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, or_, select

from intake.inbox import quarantine, retention
from store import facts
from store.identifiers import MRN, alias_key
from store.keys import Keyring
from store.originals import open_body
from store.tables import Alias, EncounterEvent, Inbox, Quarantine, QuarantineKey

BOOKINGS = ("cart.appointment.", "cart.admission.")
KEPT = (quarantine.UNMAPPED, quarantine.ASIDE)


def entry_of(session: Session, keys: Keyring, feed: str, raw: str) -> str | None:
    """The quarantine entry of a message that was kept as it came."""
    key = keys.digest("raw", feed, raw)
    query = select(Quarantine.quarantine_id).where(Quarantine.dedupe_key == key, Quarantine.body_hash == key)
    return session.exec(query).first()


def wait_for(session: Session, quarantine_id: str, resources: Collection[str]) -> None:
    """Note the keys of the resources that an entry waits for."""
    known = select(QuarantineKey.match_key).where(QuarantineKey.quarantine_id == quarantine_id)
    already = set(session.exec(known))
    row = session.get_one(Quarantine, quarantine_id)
    retention.note(session, row, set(resources) - already, None)


def waiting(session: Session, keys: Keyring, resources: Collection[str]) -> list[tuple[str, str, datetime]]:
    """The entries that wait for one of the resources, with what was kept and when it came, in that order."""
    named = select(QuarantineKey.quarantine_id).where(col(QuarantineKey.match_key).in_(sorted(resources)))
    query = select(Quarantine).where(col(Quarantine.quarantine_id).in_(named), col(Quarantine.state).in_(KEPT))
    rows = session.exec(query.order_by(col(Quarantine.received_at), Quarantine.quarantine_id)).all()
    return [(row.quarantine_id, open_body(keys, row).raw or "", row.received_at) for row in rows]


def last_stated(session: Session, keys: Keyring, number: str) -> datetime | None:
    """The latest moment of what was received of a booking or a stay, by its number; None where nothing was."""
    encounters = select(Alias.encounter_id).where(Alias.alias_key == alias_key(keys, number), Alias.kind != MRN)
    of_kind = or_(*(col(Inbox.type).like(f"{prefix}%") for prefix in BOOKINGS))
    query = (
        select(Inbox)
        .join(EncounterEvent, col(EncounterEvent.event_id) == Inbox.event_id)
        .where(col(EncounterEvent.encounter_id).in_(encounters), of_kind)
    )
    data = [(row.time, facts.open_body(keys, row)["data"]) for row in session.exec(query)]
    return max(
        (time for time, one in data if number in (one.get("appointment_id"), one.get("admission_id"))), default=None
    )


def settle(session: Session, quarantine_id: str, now: datetime) -> None:
    """An entry was read again with what it waited for: what became of it is on record under that reading."""
    row = session.get(Quarantine, quarantine_id)
    if row is not None and row.state in KEPT:
        row.state, row.resolved_at, row.reasons, row.expires_at = quarantine.RELEASED, now, [], None
        session.add(row)
