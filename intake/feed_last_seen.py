"""When each feed was last seen: a feed with messages about other patients only is not silent."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from store.engine import Database
from store.feeds import note

EXACT_TO = timedelta(seconds=15)
"""Precision of the notes: a busy feed costs one update in this time, not one for each message."""


class FeedLastSeen:
    """Notes when this process last received a message of each feed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._noted: dict[str, datetime] = {}

    def note(self, feed: str, now: datetime) -> None:
        """Note that a message of the feed was received.

        Raises:
            DatabaseError: the database cannot be reached.
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
