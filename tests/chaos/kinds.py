"""The kinds of fault of the first half: what each does to the process that passes the point, and where it makes sense.

Limits, full disks and read-only directories are real ones. They last a fraction of a second and are lifted by a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.points import Points

if TYPE_CHECKING:
    from tests.chaos.product import Ask, Product

LASTS = 0.2
"""Seconds until a limit, a full disk or a read-only directory is over."""
BALLAST = ".ballast"
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2
EVERYWHERE = frozenset(
    (
        "begins",
        "await",
        "begin",
        "read",
        "write",
        "commit",
        "committed",
        "file",
        "filed",
        "fsync",
        "fsynced",
        "call",
        "called",
        "ends",
    )
)
DATABASE = frozenset({"begin", "read", "write", "commit"})
FILES = frozenset({"file", "filed", "fsync", "fsynced"})


class AnswerLost(BaseException):
    """The work is done, and its answer never arrives."""


class Fault:
    """Strikes once, at the armed point.

    Attributes:
        lift: ends what still lasts; called by the timer.
    """

    def __init__(self, points: Points, product: Product, ask: Ask, options: Mapping[str, Any]) -> None:
        self.points, self.product, self.ask, self.options = points, product, ask, options
        self.lift: Callable[[], object] = lambda: None
        self.ending = lambda: None
        signal.signal(signal.SIGALRM, lambda *_: self._lifted())

    def lasting(self, lift: Callable[[], object]) -> None:
        self.lift = lift
        signal.setitimer(signal.ITIMER_REAL, LASTS)

    def _lifted(self) -> None:
        lift, self.lift = self.lift, lambda: None
        try:
            lift()
        except OSError:  # again in a moment
            self.lasting(lift)

    def after(self) -> None:
        """The operation in which it struck is over."""
        ending, self.ending = self.ending, lambda: None
        ending()


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        at: the sorts of points it can strike.
        only: operations it is limited to; all where empty.
        root: it mounts something.
        hint: what it does, for the report.
    """

    name: str
    at: frozenset[str]
    strike: Callable[[Fault, Any], None]
    hint: str
    only: tuple[str, ...] = ()
    root: bool = False

    def fits(self, label: str) -> bool:
        operation, sort, _ = label.split("|", 2)
        return sort in self.at and (not self.only or operation in self.only)


def _kill(_fault: Fault, _subject: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _torn_file(fault: Fault, descriptor: int) -> None:
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
    _kill(fault, descriptor)


def _torn_wal(fault: Fault, _subject: Any) -> None:
    wal = Path(fault.points.home) / "encounters.db-wal"
    descriptor = os.open(wal, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, bytes(range(256)) * 19)  # a frame and a bit, of nothing
    _kill(fault, _subject)


def _frozen(_fault: Fault, _subject: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _overtaken(fault: Fault, _subject: Any) -> None:
    fault.ask("overtake")


def _lost(_fault: Fault, _subject: Any) -> None:
    raise AnswerLost


def _raises(make: Callable[[], BaseException]) -> Callable[[Fault, Any], None]:
    def strike(_fault: Fault, _subject: Any) -> None:
        raise make()

    return strike


def _limited(which: int, value: Callable[[], int]) -> Callable[[Fault, Any], None]:
    def strike(fault: Fault, _subject: Any) -> None:
        before = resource.getrlimit(which)
        fault.lasting(lambda: resource.setrlimit(which, before))
        resource.setrlimit(which, (value(), before[1]))

    return strike


def _descriptors() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd")) + 1


def _memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize() + 64 * 1024


def _file_size() -> int:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return 0


def _full(fault: Fault, _subject: Any) -> None:
    ballast = os.path.join(fault.points.home, BALLAST)
    counting, fault.points.counting = fault.points.counting, False
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    block = bytes(65536)
    with contextlib.suppress(OSError):
        while True:
            if os.write(descriptor, block) < len(block):
                break
    os.close(descriptor)
    fault.points.counting = counting
    fault.lasting(lambda: ctypes.CDLL(None).unlink(ballast.encode()))


def mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    """
    Raises:
        OSError: it may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, target, kind, flags, data) != 0:
        raise OSError(ctypes.get_errno(), "mount")


def unmount(target: str) -> None:
    """
    Raises:
        OSError: it is not mounted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(target.encode(), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "umount")


def _read_only(fault: Fault, _subject: Any) -> None:
    counting, fault.points.counting = fault.points.counting, False
    for name in ("outbox", "inbox"):
        path = Path(fault.points.home) / name
        path.mkdir(exist_ok=True)
        mount(bytes(path), bytes(path), None, MS_BIND)
        mount(None, bytes(path), None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    fault.points.counting = counting
    left = [str(Path(fault.points.home) / name) for name in ("outbox", "inbox")]

    def lift() -> None:
        while left:
            unmount(left[0])
            left.pop(0)

    fault.lasting(lift)


def _locked(fault: Fault, _subject: Any) -> None:
    """Another process holds the write lock for longer than a writer is patient."""
    ready, begun = os.pipe()
    if os.fork() == 0:
        other = sqlite3.connect(Path(fault.points.home) / "encounters.db", timeout=5, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        os.write(begun, b".")
        time.sleep(2.5 * LASTS)
        os._exit(0)
    os.close(begun)
    os.read(ready, 1)
    os.close(ready)


def _clock(fault: Fault, _subject: Any) -> None:
    """The gateway's clock is wrong by hours during one operation."""
    fault.product.offset = timedelta(hours=fault.options["hours"])

    def ending() -> None:
        fault.product.offset = timedelta(0)

    fault.ending = ending


def _server_clock(fault: Fault, _subject: Any) -> None:
    fault.ask("skew", timedelta(hours=fault.options["hours"]))


def _destination(mode: str) -> Callable[[Fault, Any], None]:
    return lambda fault, _subject: fault.ask("destination", mode)


def _half_a_file(fault: Fault, _subject: Any) -> None:
    """A payer file is there by half when it is first seen; the rest follows."""
    for path in Path(fault.points.home, "inbox").iterdir():
        if path.is_file():
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            fault.ending = lambda path=path, whole=whole: path.write_bytes(whole) and None


def _rpc() -> BaseException:
    from tests.chaos.product import unreachable

    return unreachable()


def _disk() -> BaseException:
    return sqlite3.OperationalError("disk I/O error")


POSTS = ("post", "deliver", "sweep")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("killed", EVERYWHERE, _kill, "SIGKILL at the point; the next process starts from the disk"),
        Kind("torn file", frozenset({"fsync"}), _torn_file, "SIGKILL while a file is half on the disk"),
        Kind("torn WAL", frozenset({"write", "commit"}), _torn_wal, "SIGKILL, and half a frame behind the WAL's end"),
        Kind("frozen", EVERYWHERE - {"ends"}, _frozen, "SIGSTOP; another process does the work; SIGCONT"),
        Kind(
            "two processes",
            frozenset({"begins", "begin", "await", "read", "committed", "file", "filed"}),
            _overtaken,
            "a second process on the directory does the same work in between",
        ),
        Kind("answer lost", frozenset({"ends"}), _lost, "the work is done and its answer never arrives"),
        Kind(
            "connection lost at an await",
            frozenset({"await"}),
            _raises(lambda: ConnectionResetError(errno.ECONNRESET, "reset")),
            "an await ends with a broken connection",
        ),
        Kind("cancelled", frozenset({"await"}), _raises(asyncio.CancelledError), "a task is cancelled at an await"),
        Kind("database error", DATABASE, _raises(_disk), "a statement or a commit fails, the connection is useless"),
        Kind(
            "commit's answer lost",
            frozenset({"committed"}),
            _raises(_disk),
            "the commit took place and reports failure",
        ),
        Kind("write lock held", frozenset({"begins", "begin"}), _locked, "another process holds the write lock"),
        Kind("disk full", EVERYWHERE, _full, "the file system of the data directory has no space", root=True),
        Kind("read-only directory", EVERYWHERE, _read_only, "outbox and inbox are read-only", root=True),
        Kind(
            "input/output error",
            frozenset({"file", "fsync"}),
            _raises(lambda: OSError(errno.EIO, "Input/output error")),
            "a file operation or fsync fails",
        ),
        Kind("file size limit", EVERYWHERE, _limited(resource.RLIMIT_FSIZE, _file_size), "RLIMIT_FSIZE 0"),
        Kind("descriptors exhausted", EVERYWHERE, _limited(resource.RLIMIT_NOFILE, _descriptors), "RLIMIT_NOFILE"),
        Kind("memory limit", EVERYWHERE, _limited(resource.RLIMIT_AS, _memory), "RLIMIT_AS at what is in use"),
        Kind("Temporal away", frozenset({"call"}), _raises(_rpc), "a call to Temporal fails, nothing was done"),
        Kind("Temporal's answer lost", frozenset({"called"}), _raises(_rpc), "a call to Temporal was done and fails"),
        Kind("clock jumps", frozenset({"begins"}), _clock, "the process's clock is hours ahead or behind", POSTS),
        Kind("Temporal's clock jumps", frozenset({"ends"}), _server_clock, "workflow time is hours ahead, then back"),
        Kind("alert destination away", frozenset({"begins"}), _destination("away"), "refuses", ("act deliver_alerts",)),
        Kind(
            "alert destination hangs", frozenset({"begins"}), _destination("hangs"), "no end", ("act deliver_alerts",)
        ),
        Kind(
            "alert answer lost",
            frozenset({"begins"}),
            _destination("lost"),
            "takes it and dies",
            ("act deliver_alerts",),
        ),
        Kind("payer file in halves", frozenset({"begins"}), _half_a_file, "seen while it is written", ("sweep",)),
    )
}


def arm(points: Points, product: Product, ask: Ask, options: Mapping[str, Any]) -> Fault:
    """Arm a point of this process."""
    fault = Fault(points, product, ask, options)
    kind = KINDS[options["kind"]]
    points.armed = options["point"]
    points.strike = lambda subject: kind.strike(fault, subject)
    return fault
