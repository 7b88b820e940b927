"""The one way tests wait: ask until a condition holds, for a bounded time.

A condition that never holds fails the test with its name. No test sleeps for a fixed time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds until a test gives up: each repeated try of an activity waits longer, and a busy machine needs more of them."""
LONGEST_PAUSE = 0.25


def eventually(check: Callable[[], T | None], what: str, seconds: float = PATIENCE, pause: float = 0.01) -> T:
    """The first true value of a condition, asked for at growing pauses."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


def while_progressing(
    check: Callable[[], T | None],
    progress: Callable[[], object],
    what: str,
    still: float = PATIENCE,
    pause: float = 0.25,
) -> T:
    """The first true value of a condition, for as long as something progresses: gives up after `still` seconds without.

    For work whose length depends on the machine. `progress` is any value that changes while the work goes on.
    """
    seen, end = progress(), time.monotonic() + still
    while True:
        value = check()
        if value:
            return value
        now = progress()
        if now != seen:
            seen, end = now, time.monotonic() + still
        if time.monotonic() > end:
            raise AssertionError(f"no progress for {still} s: {what}")
        time.sleep(pause)


async def eventually_async(
    check: Callable[[], T | Awaitable[T | None] | None], what: str, seconds: float = PATIENCE, pause: float = 0.005
) -> T:
    """The same in an event loop; the condition may be a coroutine."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        value = cast("T | None", await found if isinstance(found, Awaitable) else found)
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)
