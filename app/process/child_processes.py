"""Child processes of the supervisor: started, watched, restarted, stopped, and gone when the supervisor is."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

PR_SET_PDEATHSIG = 1
RESTART_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
TURN_SECONDS = 60.0
LARGEST_LOG = 20_000_000
"""Bytes of a log before it is moved aside."""
OLDER_LOGS = 4
"""Logs kept of each process beside the one that is written."""


def die_with_parent() -> None:
    """Linux: the kernel ends this process when its parent does, also on `kill -9`. Elsewhere the lock file tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Child:
    """One process of the stack. Output goes to a log file in the data directory, without identifiers of persons."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
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
        """Start again whenever it ends, with a growing pause while it ends at once."""
        pause = RESTART_PAUSE_SECONDS
        while True:
            assert self.process is not None
            await self.process.wait()
            if time.monotonic() - self._started > STEADY_SECONDS:
                pause = RESTART_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.restarts += 1
            # No process to be had just now: the old one is still ended, so the next turn tries again after its pause.
            with contextlib.suppress(OSError):
                await self.start()

    async def keep_small(self) -> None:
        """Move the log aside whenever it has grown: what filled the disk would stop the encounters."""
        while True:
            await asyncio.sleep(TURN_SECONDS)
            with contextlib.suppress(OSError):
                turn_over(self.log)

    async def stop(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL after the given time."""
        if not self.running or self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def last_words(self) -> str:
        """The last line of the log, for the one line that says why the stack does not start."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:300] if lines else ""


def turn_over(log: Path, largest: int = LARGEST_LOG) -> bool:
    """Move a log's content to `….1` when it is larger, older ones one further, the oldest away; says whether it did.

    The process goes on with its open file, which is emptied: it writes at the end, wherever that is.
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
