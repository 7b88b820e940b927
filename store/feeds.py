"""When each feed was last received, whatever it sent, and which notifications of a subscription are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlmodel import Session, col, func, select

from store.engine import serialize
from store.tables import FeedSeen, FhirSubscription, Inbox


def note(session: Session, feed: str, now: datetime) -> None:
    """A message of the feed was received at this moment; an earlier moment changes nothing."""
    serialize(session)
    row = session.get(FeedSeen, feed)
    if row is None:
        session.add(FeedSeen(feed=feed, at=now))
    elif row.at < now:
        row.at = now
        session.add(row)
    session.flush()


def last_seen(session: Session) -> dict[str, datetime]:
    """When each feed was last received, by its messages or by its events."""
    seen = dict(_last_events(session))
    for row in session.exec(select(FeedSeen)):
        seen[row.feed] = max(row.at, seen.get(row.feed, row.at))
    return seen


def _last_events(session: Session) -> Iterator[tuple[str, datetime]]:
    """The last event of each feed, from feed to feed along the index: grouping would read the whole inbox."""
    feed = session.exec(select(func.min(Inbox.feed))).one()
    while feed is not None:
        yield feed, session.exec(select(func.max(Inbox.received_at)).where(Inbox.feed == feed)).one()
        feed = session.exec(select(func.min(Inbox.feed)).where(Inbox.feed > feed)).one()


def subscriptions_to_ask(session: Session, now: datetime) -> Sequence[FhirSubscription]:
    """The subscriptions that are due to be asked for missing notifications."""
    return session.exec(select(FhirSubscription).where(col(FhirSubscription.ask_at) <= now)).all()
