"""Counts the inbox, its deliveries, the feeds and the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlmodel import col, func, select

from app.metrics.families import Sample, sample
from app.metrics.reading import Reading
from intake.inbox.quarantine import CLOSED, RELEASED, WAITING
from store.feeds import last_seen
from store.tables import Encounter, EncounterEvent, Inbox, InboxConflict, Quarantine

LAG_SPAN = timedelta(hours=1)
LAG_ROWS = 5000


def count_intake(reading: Reading) -> Iterator[Sample]:
    """Yields received and waiting events, and delivery times."""
    session = reading.session
    for kind, count in session.exec(select(Inbox.type, func.count()).group_by(Inbox.type)):
        yield sample("cart_inbox_events_total", count, kind)
    conflicts = session.exec(select(func.count()).select_from(InboxConflict)).one()
    yield sample("cart_inbox_conflicts_total", conflicts)
    for feed, last in last_seen(session).items():
        yield sample("cart_feed_last_event_age_seconds", reading.seconds_since(last), feed)
    yield from _feed_lag(reading)
    yield from _undelivered(reading)
    yield from _undecided(reading)
    yield from _lag(reading)
    yield from _quarantine(reading)


def _undelivered(reading: Reading) -> Iterator[Sample]:
    count, oldest = reading.session.exec(
        select(func.count(), func.min(Inbox.received_at))
        .select_from(EncounterEvent)
        .join(Inbox, col(Inbox.event_id) == col(EncounterEvent.event_id))
        .where(col(EncounterEvent.delivered_at).is_(None))
    ).one()
    yield sample("cart_inbox_undelivered", count)
    yield sample("cart_inbox_undelivered_oldest_seconds", reading.seconds_since(oldest))


def _undecided(reading: Reading) -> Iterator[Sample]:
    count, oldest = reading.session.exec(
        select(func.count(func.distinct(Encounter.encounter_id)), func.min(Inbox.received_at))
        .select_from(Encounter)
        .join(EncounterEvent, col(EncounterEvent.encounter_id) == col(Encounter.encounter_id))
        .join(Inbox, col(Inbox.event_id) == col(EncounterEvent.event_id))
        .where(col(EncounterEvent.sequence) > col(Encounter.decided_sequence))
    ).one()
    yield sample("cart_encounters_undecided", count)
    yield sample("cart_undecided_oldest_seconds", reading.seconds_since(oldest))


def _lag(reading: Reading) -> Iterator[Sample]:
    rows = reading.session.exec(
        select(Inbox.received_at, EncounterEvent.delivered_at)
        .join(EncounterEvent, col(EncounterEvent.event_id) == col(Inbox.event_id))
        .where(col(EncounterEvent.delivered_at) > reading.now - LAG_SPAN)
        .order_by(col(EncounterEvent.delivered_at).desc())
        .limit(LAG_ROWS)
    )
    lags = sorted(max(0.0, (noted - received).total_seconds()) for received, noted in rows if noted)
    if lags:
        last = len(lags) - 1
        for name, share in (("median", 0.5), ("p95", 0.95), ("max", 1.0)):
            yield sample("cart_delivery_lag_seconds", lags[round(last * share)], name)


def _feed_lag(reading: Reading) -> Iterator[Sample]:
    """Yields the delay of each feed: from occurrence of its events to their delivery, without future events."""
    rows = reading.session.exec(
        select(Inbox.feed, Inbox.time, EncounterEvent.delivered_at)
        .join(EncounterEvent, col(EncounterEvent.event_id) == col(Inbox.event_id))
        .where(col(EncounterEvent.delivered_at) > reading.now - LAG_SPAN)
        .order_by(col(EncounterEvent.delivered_at).desc())
        .limit(LAG_ROWS)
    )
    lags: dict[str, list[float]] = {}
    for feed, occurred, noted in rows:
        if noted and occurred <= noted:
            lags.setdefault(feed, []).append((noted - occurred).total_seconds())
    for feed, found in lags.items():
        yield sample("cart_feed_lag_seconds", sorted(found)[len(found) // 2], feed)


def _quarantine(reading: Reading) -> Iterator[Sample]:
    counts = dict(
        reading.session.exec(
            select(Quarantine.state, func.count())
            .where(col(Quarantine.state).not_in((RELEASED, CLOSED)))
            .group_by(Quarantine.state)
        ).all()
    )
    for state, count in counts.items():
        yield sample("cart_quarantine", count, state)
    oldest = reading.session.exec(select(func.min(Quarantine.received_at)).where(Quarantine.state == WAITING)).one()
    yield sample("cart_quarantine_oldest_seconds", reading.seconds_since(oldest))
