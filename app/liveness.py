"""Liveness of a process: what must move in it moves. A database or a Temporal server that is away changes nothing in it.

Everything that waits for another system has a limit, so a loop or a pool that does not move for longer is stuck, and only
a new process gets it to move again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

LOOP_SECONDS: Final = 30.0
"""For the event loop to turn."""
POOL_SECONDS: Final = 120.0
"""For a pool of threads to take up new work: many callers may wait for a slow database before it."""
DELIVERY_SECONDS: Final = 120.0
BEAT_SECONDS: Final = 2.0

Work = Callable[[], Awaitable[object]]


class Liveness:
    """The moving parts of a process, by name."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Callable[[], float], float]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._beating: list[asyncio.Task[None]] = []

    def watch(self, name: str, last: Callable[[], float], seconds: float) -> None:
        """Watch a part that moves again and again.

        Args:
            last: when it moved last, as `time.monotonic`.
            seconds: the longest that may be between two moves.
        """
        self._last[name] = last, seconds

    def watch_task(self, name: str, task: asyncio.Task[None]) -> None:
        """Watch a task that must not end while the process serves."""
        self._tasks[name] = task

    def watch_work(self, name: str, work: Work, seconds: float) -> None:
        """Watch a loop or pool by small pieces of work that it is given; call it in the event loop."""
        moved = [time.monotonic()]

        async def beat() -> None:
            while True:
                await work()
                moved[0] = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS)

        self.watch(name, lambda: moved[0], seconds)
        self._beating.append(asyncio.create_task(beat()))

    def stuck(self) -> list[str]:
        """Returns the parts that do not move; empty for a live process. May be called from any thread."""
        now = time.monotonic()
        late = [name for name, (last, seconds) in self._last.items() if now - last() > seconds]
        return sorted(late + [name for name, task in self._tasks.items() if task.done()])

    async def stop(self) -> None:
        """Watch nothing from now on."""
        for task in self._beating:
            task.cancel()
        await asyncio.gather(*self._beating, return_exceptions=True)
        self._last.clear()
        self._tasks.clear()
        self._beating.clear()


async def turn() -> None:
    """A piece of work for the event loop itself."""
    await asyncio.sleep(0)
