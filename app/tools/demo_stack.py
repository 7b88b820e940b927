"""The stack of the demo: `up` as a separate process, on free ports and a data directory."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from app.settings import CannotStart

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
PORTS = ("http", "mllp", "temporal", "ui", "metrics")


@dataclass(frozen=True)
class RunningStack:
    """Addresses of a running stack. `pid` is the supervisor's."""

    data_dir: Path
    pid: int
    http: str
    ui: str
    metrics: str
    temporal: str
    token: str


def _command(data_dir: Path) -> list[str]:
    ports = [part for name in PORTS for part in (f"--{name}-port", "0")]
    return [sys.executable, "-m", "app.cli.main", "up", "--data-dir", str(data_dir), "--time-skipping", *ports]


async def start_stack(data_dir: Path) -> RunningStack:
    """Starts `up` and waits for its ready line.

    The process has its own session and writes to a file, so that it can keep running after the demo.

    Raises:
        CannotStart: the stack did not start; the message is the last line of its log.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
            _command(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        line = await _ready_line(process, log)
    except BaseException:
        process.kill()
        raise
    where = dict(part.split("=", 1) for part in line.split()[1:])
    token = Path(where["token_file"]).read_text(encoding="utf-8").strip()
    return RunningStack(data_dir, process.pid, where["http"], where["ui"], where["metrics"], where["temporal"], token)


async def _ready_line(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        ready = next((line for line in lines if line.startswith("ready ")), None)
        if ready:
            return ready
        if process.poll() is not None:
            raise CannotStart(lines[-1] if lines else f"the stack ended with code {process.returncode}")
        await asyncio.sleep(0.1)
    raise CannotStart(f"the stack was not ready within {READY_SECONDS:.0f} s; see {log}")


async def stop_stack(stack: RunningStack) -> None:
    """Stops the supervisor and waits until it has ended."""
    try:
        os.kill(stack.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if os.waitpid(stack.pid, os.WNOHANG)[0]:
            return
        await asyncio.sleep(0.05)
    os.kill(stack.pid, signal.SIGKILL)
    os.waitpid(stack.pid, 0)
