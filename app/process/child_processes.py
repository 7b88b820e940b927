"""Child processes of the supervisor: start, watch, restart and stop; they end with the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

PR_SET_PDEATHSIG = 1
RESTART_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
LOOK_SECONDS = 2.0
LONGEST_LOOK_SECONDS = 7.0
STARTING_SECONDS = 90.0
"""How long a new process may take to show that it is live."""
TURN_SECONDS = 60.0
LARGEST_LOG = 20_000_000
"""Bytes of a log before it is rotated."""
OLDER_LOGS = 4
"""Rotated logs kept for each process."""


def die_with_parent() -> None:
    """Ends this process with its parent on Linux, also on `kill -9`. Other systems rely on the lock file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Child:
    """One process of the stack. Its log file in the data directory has no patient identifiers."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    killed: int = 0
    """Times it was killed because it did not show that it was live."""
    _started: float = 0.0

    async def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
                preexec_fn=die_with_parent,
                start_new_session=True,
            )
        self._started = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def keep_running(self) -> None:
        """Restarts the process whenever it ends, with growing pauses if it keeps ending early."""
        pause = RESTART_PAUSE_SECONDS
        while True:
            assert self.process is not None
            await self.process.wait()
            if time.monotonic() - self._started > STEADY_SECONDS:
                pause = RESTART_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
            # If no process can be started now, the next round tries again after its pause.
            with contextlib.suppress(OSError):
                await self.start()

    async def keep_live(self, live: Callable[[], Awaitable[bool]], longest: float) -> None:
        """Kills the process when it does not show for a while that it is live, as a frozen one; `keep_running` starts it again.

        Args:
            live: one look; it must end in a few seconds.
            longest: seconds without a good look, for a process that had one since its start.
        """
        silent, seen, last = 0.0, 0.0, time.monotonic()
        while True:
            if await live():
                silent, seen = 0.0, self._started
            elif self.running:
                # Where this process itself stood still, the other is not blamed for it.
                silent += min(time.monotonic() - last, LONGEST_LOOK_SECONDS)
            last = time.monotonic()
            if silent > (longest if seen == self._started else STARTING_SECONDS):
                await self._kill_frozen(silent)
                silent = 0.0
            await asyncio.sleep(LOOK_SECONDS)

    async def _kill_frozen(self, seconds: float) -> None:
        if not self.running or self.process is None:
            return
        self.killed += 1
        self._note(f"not live for {seconds:.0f} s")
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def _note(self, why: str) -> None:
        """Writes a line of the supervisor into the process's log."""
        line = {
            "time": datetime.now(UTC).isoformat(),
            "process": "up",
            "step": "child.killed",
            "of": self.name,
            "why": why,
        }
        with contextlib.suppress(OSError), self.log.open("a") as output:
            output.write(json.dumps(line) + "\n")

    async def keep_small(self) -> None:
        """Rotates the log when it is large, so that it does not fill the disk."""
        while True:
            await asyncio.sleep(TURN_SECONDS)
            with contextlib.suppress(OSError):
                rotate(self.log)

    async def stop(self, seconds: float) -> None:
        """Stops the process with SIGTERM, after the given time with SIGKILL."""
        if not self.running or self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def last_line(self) -> str:
        """Returns the last line of the log, for the message when the stack does not start."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:300] if lines else ""


def rotate(log: Path, largest: int = LARGEST_LOG) -> bool:
    """Moves the content of a large log to `….1` and older ones up by one, drops the oldest; returns True if it did.

    The process keeps its open file, which is emptied and written from its new end.
    """
    if log.stat().st_size <= largest:
        return False
    older = [log.with_name(f"{log.name}.{number}") for number in range(1, OLDER_LOGS + 1)]
    for newer, place in reversed(list(pairwise(older))):
        if newer.exists():
            newer.replace(place)
    shutil.copyfile(log, older[0])
    os.truncate(log, 0)
    return True
