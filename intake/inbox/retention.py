"""Retained messages: traffic of a whole hospital about unmatched patients.

They open no alert and need no work. They are released like everything that waits when their referral, stay or merge is
received, and deleted when their time is over.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, delete, update
from sqlmodel import Session, col, func, select

from store.tables import Quarantine, QuarantineKey

ASIDE, UNMAPPED = "aside", "unmapped"
MOST_AT_ONCE = 2000


def note(session: Session, row: Quarantine, found_by: Collection[str], until: datetime | None) -> None:
    """Note the keys that match an entry, and when it is deleted.

    Entries with the same key are of one stay or one patient: they are deleted together, with the last of them.
    """
    for key in sorted(found_by):
        session.add(QuarantineKey(match_key=key, quarantine_id=row.quarantine_id))
    if until is not None:
        named = select(QuarantineKey.quarantine_id).where(col(QuarantineKey.match_key).in_(sorted(found_by)))
        same = and_(col(Quarantine.quarantine_id).in_(named), col(Quarantine.state) == ASIDE)
        latest = session.exec(select(func.max(Quarantine.expires_at)).where(same)).one()
        row.expires_at = max(until, latest) if latest else until
        session.add(row)
        session.flush()
        session.execute(update(Quarantine).where(same).values(expires_at=row.expires_at))
    session.flush()


def require_work(session: Session, row: Quarantine) -> None:
    """Change a retained message that cannot be translated to one that needs work."""
    row.state, row.expires_at = UNMAPPED, None
    session.add(row)
    session.flush()


def waits(session: Session, keys: Collection[str]) -> bool:
    """True when a message is retained under one of the keys."""
    named = select(QuarantineKey.quarantine_id).where(col(QuarantineKey.match_key).in_(sorted(keys)))
    query = select(Quarantine.quarantine_id).where(col(Quarantine.quarantine_id).in_(named), Quarantine.state == ASIDE)
    return session.exec(query.limit(1)).first() is not None


def something_expired(session: Session, now: datetime) -> bool:
    """True when an entry's time is over."""
    query = select(Quarantine.quarantine_id).where(col(Quarantine.expires_at).is_not(None))
    return session.exec(query.where(col(Quarantine.expires_at) <= now).limit(1)).first() is not None


def let_go(session: Session, now: datetime) -> int:
    """Delete entries whose time is over, some thousands at a time; returns how many."""
    over = session.exec(
        select(Quarantine.quarantine_id)
        .where(col(Quarantine.expires_at).is_not(None), col(Quarantine.expires_at) <= now, Quarantine.state == ASIDE)
        .limit(MOST_AT_ONCE)
    ).all()
    session.execute(delete(QuarantineKey).where(col(QuarantineKey.quarantine_id).in_(over)))
    session.execute(delete(Quarantine).where(col(Quarantine.quarantine_id).in_(over)))
    return len(over)
