"""Counting a subscription's events: a number that was skipped is missing until it comes."""

from __future__ import annotations

from datetime import datetime, timedelta

from intake import alerts
from intake.fhir.notification import Notification
from store.alerts import open_once, resolve
from store.engine import Database, serialize
from store.keys import Keyring
from store.tables import FhirSubscription

MOST_MISSING = 1000
ASK_AFTER = timedelta(seconds=10)
"""Notifications overtake each other: a number that is late by seconds needs no question."""


def count(db: Database, keys: Keyring, feed: str, notification: Notification, now: datetime) -> list[int]:
    """Note the numbers of a notification whose resources are stored; returns the numbers that are missing now.

    A handshake restarts the count. A heartbeat tells how many there should have been.
    """
    if notification.subscription is None:
        return []
    key = keys.digest("subscription", feed, notification.subscription)
    with db.write() as session:
        serialize(session)
        row = session.get(FhirSubscription, key)
        if row is None or notification.kind == "handshake":
            row = row or FhirSubscription(subscription_key=key, feed=feed, heard_at=now)
            row.last_number, row.missing = notification.since, []
        _advance(row, notification)
        row.heard_at, row.reference = now, notification.subscription
        session.add(row)
        session.flush()
        if row.missing:
            open_once(session, None, alerts.notification_gap(key), now)
            row.ask_at = row.ask_at or now + ASK_AFTER
        else:
            resolve(session, alerts.notification_gap(key).key, now)
            row.ask_at, row.asked = None, 0
        session.add(row)
        return list(row.missing)


def _advance(row: FhirSubscription, notification: Notification) -> None:
    come = set(notification.numbers)
    highest = max([row.last_number, notification.since, *come, *notification.bare])
    skipped = set(range(row.last_number + 1, highest + 1)[-MOST_MISSING:])
    row.missing = sorted((set(row.missing) | skipped | set(notification.bare)) - come)[-MOST_MISSING:]
    row.last_number = highest
