"""Feed health: who was heard when, and who fell silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlmodel import select

from activities.store.engine import Database
from activities.store.inbox import receive
from activities.store.keys import Keyring
from activities.store.tables import AlertRecord, EncounterEvent
from intake.health import FeedWatch
from tests.intake.conftest import Gateway
from tests.store import examples as e

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = e.NOW

    def __call__(self) -> datetime:
        return self.now


def states(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.exec(select(AlertRecord.state)))


def test_a_silent_feed_alerts_once_and_is_resolved_when_heard_again(store: tuple[Database, Keyring]) -> None:
    db, keys = store
    clock = Clock()
    watch = FeedWatch(db, {"scheduling": 2 * HOUR}, clock)
    assert watch.check() == []
    clock.now += 2.5 * HOUR
    for _ in range(2):
        assert watch.check() == ["scheduling"]
    assert states(db) == ["open"]
    receive(db, keys, e.booking(), clock.now, "scheduling")
    clock.now += HOUR
    assert watch.check() == []
    assert states(db) == ["resolved"]
    clock.now += 2 * HOUR
    assert watch.check() == ["scheduling"]
    assert states(db) == ["open", "resolved"]


async def metric(gateway: Gateway, name: str) -> dict[str, float]:
    transport = httpx.ASGITransport(gateway.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as scraper:
        families = text_string_to_metric_families((await scraper.get("/metrics")).text)
        return {
            sample.labels.get("feed", ""): sample.value
            for family in families
            if family.name == name
            for sample in family.samples
        }


async def test_the_metrics_tell_when_a_feed_was_heard_and_how_late_it_is(gateway: Gateway) -> None:
    await gateway.opened()
    assert await metric(gateway, "cart_feed_last_event_timestamp_seconds") == {"tests": e.NOW.timestamp()}
    assert await metric(gateway, "cart_inbox_oldest_undelivered_timestamp_seconds") == {"": e.NOW.timestamp()}
    occurred = datetime.fromisoformat(e.referral()["time"])
    with gateway.db.write() as session:
        session.exec(select(EncounterEvent)).one().delivered_at = (occurred + timedelta(minutes=3)).astimezone(UTC)
    assert await metric(gateway, "cart_feed_lag_seconds") == {"tests": pytest.approx(180)}
    assert await metric(gateway, "cart_inbox_oldest_undelivered_timestamp_seconds") == {"": 0}
