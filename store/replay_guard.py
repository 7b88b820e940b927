"""What must not be accepted again: signed messages seen, sessions signed out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col

from store.tables import SessionEnded, WebhookSeen


def first_time(session: Session, message_key: str, now: datetime, forget_before: datetime) -> bool:
    """Note a message; False when it was noted before. Older notes than `forget_before` are deleted."""
    session.execute(delete(WebhookSeen).where(col(WebhookSeen.at) < forget_before))
    if session.get(WebhookSeen, message_key) is not None:
        return False
    session.add(WebhookSeen(message_key=message_key, at=now))
    return True


def end_session(session: Session, session_key: str, until: datetime, now: datetime) -> None:
    """Note that a session was signed out. Expired sessions are deleted."""
    session.execute(delete(SessionEnded).where(col(SessionEnded.until) < now))
    session.merge(SessionEnded(session_key=session_key, until=until))


def session_ended(session: Session, session_key: str) -> bool:
    """True when the session was signed out."""
    return session.get(SessionEnded, session_key) is not None
