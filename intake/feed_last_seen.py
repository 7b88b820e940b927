"""When each sender was last heard, whatever it sent: a feed that speaks of other patients only is not silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlmodel import Session, func, select

from store.engine import Database, serialize
from store.tables import FeedHeard, Inbox

EXACT_TO = timedelta(seconds=15)
"""How exact it is noted; a busy feed costs one row's update in this time and not one for each message."""


class Hearing:
    """Notes of one process that a sender was heard."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._noted: dict[str, datetime] = {}

    def heard(self, feed: str, now: datetime) -> None:
        """Note that a message of the feed is here.

        Raises:
            SQLAlchemyError: the database is away.
        """
        with self._lock:
            noted = self._noted.get(feed)
            if noted is not None and timedelta(0) <= now - noted < EXACT_TO:
                return
            self._noted[feed] = now
        # Outside of the lock: where the database is held by another, senders must not wait one after the other.
        try:
            with self._db.write() as session:
                note(session, feed, now)
        except BaseException:
            with self._lock:
                self._noted.pop(feed, None)
            raise


def note(session: Session, feed: str, now: datetime) -> None:
    """The feed was heard at this moment; an earlier moment changes nothing."""
    serialize(session)
    row = session.get(FeedHeard, feed)
    if row is None:
        session.add(FeedHeard(feed=feed, at=now))
    elif row.at < now:
        row.at = now
        session.add(row)
    session.flush()


def last_heard(session: Session) -> dict[str, datetime]:
    """When each feed was last heard, by its messages or by its events."""
    heard = dict(_last_events(session))
    for row in session.exec(select(FeedHeard)):
        heard[row.feed] = max(row.at, heard.get(row.feed, row.at))
    return heard


def _last_events(session: Session) -> Iterator[tuple[str, datetime]]:
    """The last event of each feed, from feed to feed along the index: grouping would read the whole inbox."""
    feed = session.exec(select(func.min(Inbox.feed))).one()
    while feed is not None:
        yield feed, session.exec(select(func.max(Inbox.received_at)).where(Inbox.feed == feed)).one()
        feed = session.exec(select(func.min(Inbox.feed)).where(Inbox.feed > feed)).one()
