"""Payer files are read in a process of their own, so that no file occupies a gateway or a worker: its time is limited."""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

import structlog

from domain.billing.x12.entries import Apart, Departure, Entry, Item, NotUsable, Opened
from domain.billing.x12.response_files import pieces

FILE_SECONDS, FILE_SECONDS_PER_MEGABYTE = 300.0, 20.0
"""Far above what a file needs (half a second a megabyte): on a busy machine it is read behind everything else."""
GUIDE_SECONDS = 10.0
"""For the check of one transaction against its guide; what comes after it is read, and not checked."""
_MEGABYTE = 1024 * 1024
_CHUNK = 64 * 1024
_ITEMS: dict[str, type[Item]] = {"Opened": Opened, "Entry": Entry, "Apart": Apart, "Departure": Departure}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes of a file, in memory or on disk, as often as they are asked for."""

    size: int
    pieces: Callable[[], Iterator[bytes]]

    @classmethod
    def of(cls, body: bytes | bytearray | Path) -> Payload:
        """
        Raises:
            FileNotFoundError: there is no such file.
        """
        if isinstance(body, Path):
            return cls(body.stat().st_size, lambda: _from_disk(body))
        return cls(len(body), lambda: pieces(body))

    def whole(self) -> bytes:
        """All of it at once."""
        return b"".join(self.pieces())


def _from_disk(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(_CHUNK):
            yield piece


def read_apart(payload: Payload, zone: tzinfo) -> Iterator[Item]:
    """The items of a file. Nothing of it counts before its end was reached.

    Args:
        zone: of the times in the file, which carry none.

    Raises:
        NotUsable: as `response_files.read`; or it took too long, or reading failed.
    """
    reader = _POOL.take()
    whole = False
    try:
        for item in reader.read(payload):
            if isinstance(item, Opened):
                item = Opened(item.sender, item.number, item.test, item.made.replace(tzinfo=zone))
            yield item
        whole = True
    except NotUsable:
        whole = reader.ready
        raise
    finally:
        if whole:
            _POOL.give_back(reader)
        else:
            reader.end()


class _Reader:
    """A process that reads one file after the other."""

    def __init__(self) -> None:
        self.ready = True
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "intake.payer_files.reading_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def read(self, payload: Payload) -> Iterator[Item]:
        self.ready = False
        seconds = FILE_SECONDS + FILE_SECONDS_PER_MEGABYTE * payload.size / _MEGABYTE
        late = threading.Event()
        timer = threading.Timer(seconds, self._late, (late,))
        timer.daemon = True
        timer.start()
        sender = threading.Thread(target=self._send, args=(payload,), daemon=True)
        sender.start()
        try:
            yield from self._items(late, seconds)
            sender.join()
        finally:
            timer.cancel()

    def _items(self, late: threading.Event, seconds: float) -> Iterator[Item]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            value = json.loads(line)
            if value.pop("end", False):
                self.ready = True
                if "refused" in value:
                    raise NotUsable(value["refused"], value["torn"])
                if "failed" in value:
                    log.error("replies.reading_failed", error=value["failed"])
                    raise NotUsable(f"reading it failed ({value['failed']})")
                return
            yield _item(value)
        if late.is_set():
            raise NotUsable(f"it was not read within {seconds:.0f} seconds")
        raise NotUsable("reading it failed (its process ended)")

    def _send(self, payload: Payload) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        asked = {"size": payload.size, "guide_seconds": GUIDE_SECONDS}
        with contextlib.suppress(OSError, ValueError):  # it ended, and the reading thread sees that
            stdin.write(json.dumps(asked).encode() + b"\n")
            left = payload.size
            for piece in payload.pieces():
                stdin.write(piece[:left])
                left -= min(len(piece), left)
            if left:  # it became shorter meanwhile
                self._process.kill()
            stdin.flush()

    def _late(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()


def _item(value: dict[str, Any]) -> Item:
    kind = _ITEMS[value.pop("is")]
    if kind is Opened:
        value["made"] = datetime.fromisoformat(value["made"])
    elif kind is Entry:
        value["on"] = date.fromisoformat(value["on"]) if value["on"] else None
        value["named"] = tuple(value["named"])
    return kind(**value)


class _Pool:
    """Keeps one process that waits; more run while more files are read at once."""

    _WAITING = 1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Reader] = []

    def take(self) -> _Reader:
        with self._lock:
            while self._waiting:
                reader = self._waiting.pop()
                if reader.alive:
                    return reader
                reader.end()
        return _Reader()

    def give_back(self, reader: _Reader) -> None:
        with self._lock:
            if len(self._waiting) < self._WAITING:
                self._waiting.append(reader)
                return
        reader.end()

    def close(self) -> None:
        """End what waits."""
        with self._lock:
            while self._waiting:
                self._waiting.pop().end()


_POOL = _Pool()
atexit.register(_POOL.close)
