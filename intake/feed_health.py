"""Feed health: an alert when a feed is silent longer than configured. `app.metrics.intake` has its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog

from intake import alerts
from store.alerts import open_once, resolve
from store.engine import Database, serialize
from store.feeds import last_seen

CHECK_SECONDS = 60.0

log = structlog.get_logger(__name__)


class FeedWatch:
    """Opens an alert when a feed is silent longer than configured, resolves it when the feed is received again.

    Args:
        expected: the longest normal silence of each feed.
    """

    def __init__(self, db: Database, expected: Mapping[str, timedelta], clock: Callable[[], datetime]) -> None:
        self._db, self._expected, self._clock = db, dict(expected), clock
        self._since = clock()

    async def run(self) -> None:
        """Check once a minute until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.check)
            except Exception as error:  # noqa: BLE001 the watch must not end: it checks again
                log.warning("feeds.not_checked", error=type(error).__name__)
            await asyncio.sleep(CHECK_SECONDS)

    def check(self) -> list[str]:
        """Open and resolve alerts; returns the silent feeds. A feed never received counts from the start of this process."""
        if not self._expected:
            return []
        now = self._clock()
        with self._db.write() as session:
            serialize(session)
            seen = last_seen(session)
            silent = [
                feed for feed, longest in self._expected.items() if now - _moment(seen.get(feed), self._since) > longest
            ]
            for feed in self._expected:
                if feed in silent:
                    open_once(session, None, alerts.feed_silent(feed), now)
                else:
                    resolve(session, alerts.feed_silent(feed).key, now)
        return sorted(silent)


def _moment(value: datetime | None, otherwise: datetime) -> datetime:
    return value if value is not None else otherwise
