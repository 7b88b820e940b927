"""The watch: what no encounter asks about is found, escalated and resolved, through the real workflow and schedule."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.worker import keep_schedule
from domain.rulebook import Rulebook
from domain.watch import Standing, bands, watch_alerts
from tests.workflows.world import World
from workflows.names import WATCH_SCHEDULE

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "kind", "band"),
    [
        (91, None, None),
        (90, "certificate_ending", "90d"),
        (61, "certificate_ending", "90d"),
        (60, "certificate_ending", "60d"),
        (30, "certificate_ending", "30d"),
        (7, "certificate_ending", "7d"),
        (0, "certificate_ending", "7d"),
        (-1, "certificate_expired", "expired"),
    ],
)
def test_a_certificate_is_told_of_in_its_tightest_band(
    rules: Rulebook, left: int, kind: str | None, band: str | None
) -> None:
    paper = Standing("fact", None, "a" * 40, NOW.date() + timedelta(days=left))
    found = [alert for alert in watch_alerts([paper], rules, NOW) if alert.kind.startswith("certificate")]
    assert [alert.kind for alert in found] == ([kind] if kind else [])
    assert all(alert.key.endswith(f".{band}") and alert.owner and alert.action for alert in found)


@given(st.dates(date(2020, 1, 1), date(2040, 1, 1)))
def test_a_certificate_has_one_alert_or_none_and_one_without_an_end_has_none(rules: Rulebook, end: date) -> None:
    papers = [Standing("fact", None, "a" * 40, end), Standing("fact", None, "b" * 40, None)]
    found = [alert for alert in watch_alerts(papers, rules, NOW) if alert.kind.startswith("certificate")]
    assert len(found) == ((end - NOW.date()).days <= max(bands(rules, NOW.date())))


async def test_the_schedule_is_made_once_and_looks_at_once(world: World) -> None:
    await keep_schedule(world.server.client)
    await keep_schedule(world.server.client)

    handle = world.server.client.get_schedule_handle(WATCH_SCHEDULE)
    await handle.trigger()
    for _ in range(100):
        if (await handle.describe()).info.num_actions >= 1:
            break
        await asyncio.sleep(0.1)
    assert (await handle.describe()).info.num_actions >= 1
    await handle.delete()
