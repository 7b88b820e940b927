"""When each sender was last heard, whatever it sent: a feed that speaks of other patients only is not silent."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from store.engine import Database
from store.feeds import note

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
            DatabaseError: the database is away.
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
