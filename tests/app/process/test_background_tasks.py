"""What runs beside a process outlives every error: one that ended would not be missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from app.process import alert_poller
from app.process.alert_poller import AlertPoller
from intake import feed_health
from intake.feed_health import FeedWatch
from intake.fhir import missed_notifications
from intake.fhir.missed_notifications import Asker

RUNS: list[tuple[Any, str, str, Callable[[], Any]]] = [
    (alert_poller, "LOOK_SECONDS", "look", lambda: AlertPoller(cast(Any, None), cast(Any, None))),
    (feed_health, "CHECK_SECONDS", "check", lambda: FeedWatch(cast(Any, None), {}, lambda: cast(Any, None))),
    (missed_notifications, "CHECK_SECONDS", "ask", lambda: Asker.__new__(Asker)),
]


@pytest.mark.parametrize(("module", "pause", "step", "made"), RUNS, ids=["alerts", "feeds", "fhir"])
async def test_it_continues_after_an_unexpected_error(
    module: Any, pause: str, step: str, made: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    again, loop = asyncio.Event(), asyncio.get_running_loop()
    steps = 0

    def fails() -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            raise RuntimeError("never thought of")
        loop.call_soon_threadsafe(again.set)

    async def fails_in_the_loop() -> None:
        fails()

    part = made()
    monkeypatch.setattr(module, pause, 0.01)
    monkeypatch.setattr(part, step, fails if step == "check" else fails_in_the_loop)
    running: Awaitable[None] = part.run()
    task = asyncio.ensure_future(running)
    async with asyncio.timeout(60):
        await again.wait()
    task.cancel()
