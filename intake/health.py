"""Feed health: when each sender was last heard, what waits to be delivered, and an alert when a feed falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select

from activities.store import signals
from activities.store.engine import Database
from activities.store.inbox import serialise
from activities.store.tables import EncounterEvent, Inbox

CHECK_SECONDS = 60.0

log = structlog.get_logger(__name__)


class FeedWatch:
    """Opens an alert when a feed that should speak is silent, resolves it when the feed is heard again.

    Args:
        expected: for each feed the longest silence that is normal for it.
    """

    def __init__(self, db: Database, expected: Mapping[str, timedelta], clock: Callable[[], datetime]) -> None:
        self._db, self._expected, self._clock = db, dict(expected), clock
        self._since = clock()

    async def run(self) -> None:
        """Check once a minute until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.check)
            except SQLAlchemyError as error:
                log.warning("feeds.database_away", error=type(error).__name__)
            await asyncio.sleep(CHECK_SECONDS)

    def check(self) -> list[str]:
        """Open and resolve alerts; returns the feeds that are silent now. A feed never heard counts from our start."""
        if not self._expected:
            return []
        now = self._clock()
        with self._db.write() as session:
            serialise(session)
            heard = dict(session.exec(select(Inbox.feed, func.max(Inbox.received_at)).group_by(Inbox.feed)).all())
            silent = [
                feed
                for feed, longest in self._expected.items()
                if now - _moment(heard.get(feed), self._since) > longest
            ]
            for feed in self._expected:
                if feed in silent:
                    signals.feed_silent(session, feed, now)
                else:
                    signals.resolve(session, signals.silence_key(feed), now)
        return sorted(silent)


class FeedMetrics(Collector):
    """Last message and lag of each feed, computed from the inbox at each scrape."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def collect(self) -> Iterator[GaugeMetricFamily]:
        last = GaugeMetricFamily(
            "cart_feed_last_event_timestamp_seconds", "When an event of the feed was last taken in.", labels=["feed"]
        )
        total = GaugeMetricFamily("cart_feed_events", "Events of the feed in the inbox.", labels=["feed"])
        lag = GaugeMetricFamily(
            "cart_feed_lag_seconds",
            "Greatest time from occurrence to application among the feed's last hundred applied events.",
            labels=["feed"],
        )
        oldest = GaugeMetricFamily(
            "cart_inbox_oldest_undelivered_timestamp_seconds", "Receipt of the oldest event not yet applied; 0 if none."
        )
        try:
            with self._db.read() as session:
                feeds = session.exec(
                    select(Inbox.feed, func.max(Inbox.received_at), func.count()).group_by(Inbox.feed)
                ).all()
                waiting = session.exec(
                    select(func.min(Inbox.received_at))
                    .join(EncounterEvent, col(EncounterEvent.event_id) == Inbox.event_id)
                    .where(col(EncounterEvent.delivered_at).is_(None))
                ).one()
                for feed, heard, count in feeds:
                    last.add_metric([feed], _moment(heard, datetime.now(UTC)).timestamp())
                    total.add_metric([feed], count)
                    applied = session.exec(_applied(feed)).all()
                    lags = [(delivered - time).total_seconds() for time, delivered in applied if delivered]
                    lag.add_metric([feed], max(lags, default=0.0))
        except SQLAlchemyError:
            return
        oldest.add_metric([], _moment(waiting, datetime.fromtimestamp(0, UTC)).timestamp())
        yield from (last, total, lag, oldest)


def _applied(feed: str):  # type: ignore[no-untyped-def]
    return (
        select(Inbox.time, EncounterEvent.delivered_at)
        .join(EncounterEvent, col(EncounterEvent.event_id) == Inbox.event_id)
        .where(Inbox.feed == feed, col(EncounterEvent.delivered_at).is_not(None))
        .order_by(col(EncounterEvent.delivered_at).desc())
        .limit(100)
    )


def _moment(value: datetime | None, otherwise: datetime) -> datetime:
    return value if value is not None else otherwise
