"""Two lanes of delivery: encounters that take their notes at once do not wait behind those that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

FAST_SECONDS = 0.5
"""How long a call keeps a place in the fast lane. An answer takes a twentieth of it."""
SLOW_PLACES = 64
RETRIES = 32
"""Of the slow places, those for encounters that failed before; the others are for calls that turn out to be slow."""


class Crowded(RuntimeError):
    """No place is free for a slow call; its note is delivered again later."""


class Lanes:
    """The places of a deliverer.

    Args:
        fast: encounters at once in the fast lane.
    """

    def __init__(self, fast: int) -> None:
        self.fast = asyncio.Semaphore(fast)
        self.slow = 0

    def place(self, *, fast: bool) -> Place:
        """The place of one encounter, to enter."""
        return Place(self, fast)


class Place:
    """The place of one encounter: fast at first unless it failed before, slow from its first slow call on."""

    def __init__(self, lanes: Lanes, fast: bool) -> None:
        self._lanes, self.fast = lanes, fast

    async def __aenter__(self) -> Place:
        if self.fast:
            await self._lanes.fast.acquire()
        else:
            self._lanes.slow += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.fast:
            self._lanes.fast.release()
        else:
            self._lanes.slow -= 1

    async def over(self, calls: Sequence[asyncio.Task[Any]]) -> None:
        """Wait for calls, in the lane they turn out to belong to. All of them are over afterwards.

        Raises:
            Crowded: they are slow and no slow place is free; they are canceled.
        """
        try:
            if self.fast:
                _, slow = await asyncio.wait(calls, timeout=FAST_SECONDS)
                if not slow:
                    return
                self._move()
            await asyncio.wait(calls)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    def _move(self) -> None:
        if self._lanes.slow >= SLOW_PLACES:
            raise Crowded
        self._lanes.slow += 1
        self.fast = False
        self._lanes.fast.release()
