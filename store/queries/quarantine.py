"""Read-only listings of the message quarantine."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session, col, func, select

from store.tables import Quarantine


def newest_entries(session: Session, limit: int, state: str | None = None, but: str | None = None) -> list[Quarantine]:
    """Entries of a state, or of every state but one, the newest first."""
    query = select(Quarantine)
    if state:
        query = query.where(Quarantine.state == state)
    elif but:
        query = query.where(Quarantine.state != but)
    return list(session.exec(query.order_by(col(Quarantine.received_at).desc(), Quarantine.quarantine_id).limit(limit)))


def oldest_entries(session: Session, states: Collection[str], limit: int) -> Sequence[Quarantine]:
    """Entries of these states, the oldest first."""
    query = select(Quarantine).where(col(Quarantine.state).in_(states))
    return session.exec(query.order_by(col(Quarantine.received_at)).limit(limit)).all()


def last_resolved(session: Session, state: str, limit: int) -> Sequence[Quarantine]:
    """Entries of a state, the one that was resolved last first."""
    query = select(Quarantine).where(Quarantine.state == state)
    return session.exec(query.order_by(col(Quarantine.resolved_at).desc()).limit(limit)).all()


def entries_by_state(session: Session) -> dict[str, int]:
    """How many entries each state has."""
    return dict(session.exec(select(Quarantine.state, func.count()).group_by(Quarantine.state)).all())
