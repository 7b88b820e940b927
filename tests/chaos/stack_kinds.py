"""The kinds of fault of the second half: what is done to the processes, files and links of a running installation."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from app.process.child_processes import die_with_parent
from store.engine import INBOX_LOCK
from tests.chaos import set_back
from tests.chaos.installations import Embedded, Installation, Separate, kill
from tests.chaos.kinds import BALLAST, MS_BIND, MS_RDONLY, MS_REMOUNT, mount, unmount

GARBAGE = bytes(range(256)) * 17
"""Half a frame of a write-ahead log, of nothing."""


@dataclass(frozen=True)
class StackKind:
    """A kind of fault; `strike` returns when it is over. `where` names the installations that can have it."""

    name: str
    target: str
    strike: Callable[[Any, random.Random], None]
    hint: str
    where: tuple[type[Installation], ...] = (Embedded, Separate)
    root: bool = False


def _killed(role: str) -> Callable[[Installation, random.Random], None]:
    def strike(on: Installation, chance: random.Random) -> None:
        pids = on.pids(role)
        for pid in chance.sample(pids, chance.randint(1, len(pids))) if pids else ():
            kill(pid)

    return strike


def _frozen(role: str) -> Callable[[Installation, random.Random], None]:
    def strike(on: Installation, chance: random.Random) -> None:
        pids = on.pids(role)[:1]
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        time.sleep(chance.uniform(2, 7))
        for pid in pids:
            kill(pid, signal.SIGCONT)

    return strike


def _all_killed(on: Embedded, _chance: random.Random) -> None:
    on.kill_all()
    on.start()


def _torn_logs(on: Embedded, _chance: random.Random) -> None:
    """A power cut: half a frame stands behind the end of each write-ahead log."""
    on.kill_all()
    for name in ("encounters.db-wal", "temporal.db-wal"):
        with contextlib.suppress(FileNotFoundError), (on.data / name).open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(GARBAGE)
    on.start()


def _pool_killed(on: Separate, _chance: random.Random) -> None:
    on.kill_all()


def _full(on: Installation, chance: random.Random) -> None:
    path = on.data / BALLAST
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        block = bytes(1 << 20)
        while file.write(block) == len(block):
            pass
    time.sleep(chance.uniform(1, 4))
    path.unlink()


def _read_only(on: Installation, chance: random.Random) -> None:
    paths = [on.data / name for name in ("outbox", "inbox")]
    for path in paths:
        path.mkdir(exist_ok=True, mode=0o700)
        mount(bytes(path), bytes(path), None, MS_BIND)
        mount(None, bytes(path), None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    time.sleep(chance.uniform(1, 4))
    for path in paths:
        unmount(str(path))


@contextlib.contextmanager
def _holding(on: Installation) -> Iterator[None]:
    if isinstance(on, Embedded):
        other = sqlite3.connect(on.data / "encounters.db", timeout=20, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    with psycopg.connect(on.database.replace("+psycopg", "")) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (INBOX_LOCK,))
        connection.execute("LOCK TABLE claims, encounters IN SHARE ROW EXCLUSIVE MODE")
        yield
        connection.rollback()


def _locked(on: Installation, chance: random.Random) -> None:
    with _holding(on):
        time.sleep(chance.uniform(1, 6))


def _limited(role: str, which: int, value: Callable[[int], int]) -> Callable[[Installation, random.Random], None]:
    def strike(on: Installation, chance: random.Random) -> None:
        before: dict[int, tuple[int, int]] = {}
        for pid in on.pids(role)[:1]:
            with contextlib.suppress(OSError):
                before[pid] = resource.prlimit(pid, which)
                resource.prlimit(pid, which, (value(pid), before[pid][1]))
        time.sleep(chance.uniform(1, 4))
        for pid, limit in before.items():
            with contextlib.suppress(OSError):
                resource.prlimit(pid, which, limit)

    return strike


def _descriptors(pid: int) -> int:
    return max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1


def _memory(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize() + (1 << 20)


def _second_worker(on: Embedded, chance: random.Random) -> None:
    """A second worker on the same directory and server, then dead without a word."""
    environment = {
        **os.environ,
        "CART_DATA_DIR": str(on.data),
        "CART_SITE_FILE": str(on.site),
        "CART_TEMPORAL_ADDRESS": on.temporal(),
        "CART_METRICS_PORT": "0",
    }
    program = [sys.executable, "-P", "-m", "app.cli.main", "worker"]
    process = subprocess.Popen(
        program,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    time.sleep(chance.uniform(4, 9))
    process.kill()
    process.wait()


def _pager(mode: str) -> Callable[[Installation, random.Random], None]:
    def strike(on: Installation, chance: random.Random) -> None:
        seconds = chance.uniform(2, 6)
        on.pager.behave(mode, seconds)
        time.sleep(seconds)

    return strike


def _hole(link: str) -> Callable[[Separate, random.Random], None]:
    return lambda on, chance: on.links[link].swallow(chance.uniform(2, 8))


def _flap(link: str) -> Callable[[Separate, random.Random], None]:
    return lambda on, chance: on.links[link].flap(chance.uniform(2, 5))


def _database_stopped(on: Separate, chance: random.Random) -> None:
    on.server.begins()
    time.sleep(chance.uniform(0.5, 4))
    on.server.ends()


LINKS = ("gateway to PostgreSQL", "worker to PostgreSQL", "gateway to Temporal", "worker to Temporal")
STACK_KINDS = (
    *(StackKind("killed", role, _killed(role), "SIGKILL; started again") for role in ("gateway", "worker", "temporal")),
    *(
        StackKind("frozen", role, _frozen(role), "SIGSTOP, seconds later SIGCONT")
        for role in ("gateway", "worker", "temporal")
    ),
    StackKind("killed", "everything", _all_killed, "SIGKILL for the supervisor; started again", (Embedded,)),
    StackKind("killed", "every gateway and worker", _pool_killed, "SIGKILL for all at once", (Separate,)),
    StackKind("torn WAL", "both databases", _torn_logs, "all killed, half a frame behind each log's end", (Embedded,)),
    StackKind("disk full", "data directory", _full, "no space for seconds", root=True),
    StackKind("read-only directory", "outbox and inbox", _read_only, "read-only for seconds", root=True),
    StackKind("write lock held", "database", _locked, "another connection holds the locks"),
    *(
        StackKind("descriptors exhausted", role, _limited(role, resource.RLIMIT_NOFILE, _descriptors), "RLIMIT_NOFILE")
        for role in ("gateway", "worker")
    ),
    *(
        StackKind("memory limit", role, _limited(role, resource.RLIMIT_AS, _memory), "RLIMIT_AS at what is in use")
        for role in ("gateway", "worker")
    ),
    *(
        StackKind("file size limit", role, _limited(role, resource.RLIMIT_FSIZE, lambda _pid: 4096), "RLIMIT_FSIZE")
        for role in ("gateway", "worker")
    ),
    StackKind("two processes", "worker", _second_worker, "a second worker comes and dies", (Embedded,)),
    StackKind("alert destination away", "pager", _pager("away"), "refuses for seconds"),
    StackKind("alert destination hangs", "pager", _pager("hangs"), "accepts and does not answer"),
    *(StackKind("black hole", link, _hole(link), "nothing passes, nothing ends", (Separate,)) for link in LINKS),
    *(
        StackKind("flapping link", link, _flap(link), "every connection breaks again and again", (Separate,))
        for link in LINKS
    ),
    StackKind("Temporal's database removed", "temporal", set_back.temporal_removed, "killed, its files gone"),
    StackKind("Temporal's database older", "temporal", set_back.temporal_older, "killed, an earlier copy in its place"),
    StackKind(
        "Temporal's database restored",
        "temporal",
        set_back.temporal_restored,
        "killed, empty for seconds, then the copy of before",
    ),
    StackKind(
        "database restored",
        "database",
        set_back.database_older,
        "an earlier backup by the documented commands; everybody sends again",
        (Embedded,),
    ),
    StackKind("database stopped", "PostgreSQL", _database_stopped, "stopped immediately, started again", (Separate,)),
)
