"""The index of the outbox: one line for every file that was written, kept when the file was picked up.

Transports take claim files out of the outbox, so this file is the memory of what was sent outside of the database. It is
only appended to, holds no identity, and each line is sealed with the installation's hash key.

A file is published in three steps: the whole text as a draft, its line in the index, then the name that transports look
for. A draft that is left means that the file never went out; a line without a draft means that it did. So a crash at any
point is finished by the next try, and a file that was picked up is never written again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from store.keys import Keyring

INDEX = "index.jsonl"
LOCK = ".index.lock"
DRAFT = ".draft"
_SEALED_FOR = "outbox index"


class OutboxConflict(ValueError):
    """What the outbox holds under a number is another file; the message names the path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: the outbox has another file under this number")
        self.path = path


@dataclass(frozen=True, slots=True)
class IndexedClaim:
    """One claim of a file. Marks are keyed hashes, None where an earlier release wrote the file."""

    control: str
    place: int
    encounter: str | None = None
    letter: str | None = None
    ordinal: int | None = None
    version: int | None = None
    frequency: str | None = None
    form: str | None = None
    payer: str | None = None
    total: str | None = None
    first: str | None = None
    last: str | None = None
    content: str | None = None
    insured: str | None = None
    member: str | None = None
    person: str | None = None
    exact: str | None = None
    bill: str | None = None

    def forgotten(self) -> IndexedClaim:
        """The claim without the marks of who it names."""
        return dataclasses.replace(self, insured=None, member=None, person=None, exact=None, bill=None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `digest` is the SHA-256 of its text; None for a file that was gone when the index began."""

    path: str
    digest: str | None
    mode: str
    receiver: str
    interchange: int
    epoch: int
    at: str
    claims: tuple[IndexedClaim, ...] = ()

    @property
    def controls(self) -> frozenset[str]:
        return frozenset(claim.control for claim in self.claims)


@dataclass(slots=True)
class _State:
    """What was read up to a byte of the file."""

    inode: int = 0
    offset: int = 0
    lines: int = 0
    begun: bool = False
    epoch: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)


class OutboxIndex:
    """The index of one outbox; several processes may share the directory."""

    def __init__(self, outbox: Path, keys: Keyring) -> None:
        self.outbox, self._keys = outbox, keys
        self.path = outbox / INDEX
        self._state = _State()
        self._threads = threading.RLock()
        self._held = 0

    @property
    def begun(self) -> bool:
        """It has its first line."""
        return self._state.begun

    @property
    def epoch(self) -> int:
        """The highest epoch it names."""
        return self._state.epoch

    @property
    def entries(self) -> dict[str, Entry]:
        """Every file by its path in the outbox."""
        return self._state.entries

    @property
    def damaged(self) -> list[int]:
        """The numbers of lines that were edited, cut off, or sealed with another installation's key."""
        return self._state.damaged

    def refresh(self) -> None:
        """Read what was appended since; a file that was replaced is read from its start."""
        with self._threads:
            try:
                found = self.path.stat()
            except FileNotFoundError:
                self._state = _State()
                return
            if (found.st_ino, found.st_size) == (self._state.inode, self._state.offset):
                return
            if found.st_ino != self._state.inode or found.st_size < self._state.offset:
                self._state = _State(inode=found.st_ino)
            with self.path.open("rb") as file:
                file.seek(self._state.offset)
                self._take(file.read())

    def _take(self, read: bytes) -> None:
        """Take whole lines in; a last line without its end is being written, or was cut off before its file went out."""
        state = self._state
        whole = read[: read.rfind(b"\n") + 1]
        for line in whole.splitlines():
            state.lines += 1
            if line.strip() and not self._take_line(line):
                state.damaged.append(state.lines)
        state.offset += len(whole)

    def _take_line(self, line: bytes) -> bool:
        try:
            body = json.loads(line)
            seal = body.pop("seal")
            if seal != self._seal(body):
                return False
            kind = body.pop("kind")
            if kind == "file":
                entry = Entry(**{**body, "claims": tuple(IndexedClaim(**claim) for claim in body["claims"])})
                self._state.entries[entry.path] = entry
                self._state.epoch = max(self._state.epoch, entry.epoch)
            elif kind == "begin":
                self._state.begun = True
            elif kind == "epoch":
                self._state.epoch = max(self._state.epoch, int(body["epoch"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        return True

    def _seal(self, body: dict[str, Any]) -> str:
        return self._keys.digest(_SEALED_FOR, json.dumps(body, sort_keys=True, separators=(",", ":")))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, of every process; what others appended is read.

        Raises:
            OSError: the outbox cannot be written.
        """
        with self._threads:
            if self._held:
                yield
                return
            self.outbox.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.outbox / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._held = 1
                self.refresh()
                yield
            finally:
                self._held = 0
                os.close(descriptor)

    def begin(self, at: datetime) -> None:
        """Write the first line, where there is none."""
        with self.locked():
            if not self._state.begun:
                self._append([{"kind": "begin", "at": at.isoformat()}])

    def note_epoch(self, epoch: int, at: datetime) -> None:
        """Keep the epoch outside of the database, so that no later restore begins the same one."""
        with self.locked():
            self._append([{"kind": "epoch", "epoch": epoch, "at": at.isoformat()}])

    def add(self, entries: Iterable[Entry]) -> None:
        """Append lines for files that are written already."""
        with self.locked():
            self._append([_line(entry) for entry in entries if entry.path not in self.entries])

    def _append(self, bodies: Collection[dict[str, Any]]) -> None:
        """Append lines and wait until they are on disk. A line that a crash cut off is removed first: nothing followed it."""
        if not bodies:
            return
        text = "".join(self._sealed(body) for body in bodies)
        made = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, self._state.offset)
            os.lseek(descriptor, 0, os.SEEK_END)
            rest = text.encode()
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made:
            sync(self.outbox)
        self.refresh()

    def _sealed(self, body: dict[str, Any]) -> str:
        return json.dumps({**body, "seal": self._seal(body)}, sort_keys=True, separators=(",", ":")) + "\n"

    def forget(self, encounters: Collection[str]) -> None:
        """Remove the marks of who they name from the lines of erased encounters; numbers stay."""
        if not self.path.exists():
            return
        self._rewritten(
            lambda entry: dataclasses.replace(
                entry, claims=tuple(one.forgotten() if one.encounter in encounters else one for one in entry.claims)
            )
        )

    def _rewritten(self, change: Any) -> None:
        with self.locked():
            if not self.path.exists():
                return
            lines = []
            for line in self.path.read_bytes()[: self._state.offset].splitlines():
                try:
                    body = json.loads(line)
                    entry = self.entries.get(body.get("path", "")) if body.get("kind") == "file" else None
                except (ValueError, AttributeError):
                    entry = None
                lines.append(line.decode() + "\n" if entry is None else self._sealed(_line(change(entry))))
            draft = self.outbox / f".{INDEX}.{secrets.token_hex(4)}"
            write_synced(draft, "".join(lines))
            draft.replace(self.path)
            sync(self.outbox)
            self.refresh()

    def move_away(self, name: str) -> None:
        """Move a damaged index out of the way; nothing of it is deleted."""
        with self.locked():
            if self.path.exists():
                self.path.replace(self.outbox / name)
                sync(self.outbox)
            self.refresh()

    def draft_of(self, entry: Entry) -> Path:
        """Where the text of a file waits until its line is written."""
        path = self.outbox / entry.path
        return path.with_name(f".{path.name}.{(entry.digest or '')[:16]}{DRAFT}")

    def left_drafts(self) -> Iterator[Entry]:
        """Files whose line is written and which did not get their name: they never went out."""
        return (entry for entry in self.entries.values() if entry.digest and self.draft_of(entry).exists())


def _line(entry: Entry) -> dict[str, Any]:
    body = dataclasses.asdict(entry)
    body["claims"] = [{name: value for name, value in claim.items() if value is not None} for claim in body["claims"]]
    return {"kind": "file", **body}


def digest_of(text: str) -> str:
    """The SHA-256 of the text of a file."""
    return hashlib.sha256(text.encode("latin-1", "replace")).hexdigest()


def digest_of_file(path: Path) -> str | None:
    """The SHA-256 of a file; None where it was picked up meanwhile."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def write_synced(path: Path, text: str) -> None:
    """Write a file that only its owner can read, and wait until it is on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync(directory: Path) -> None:
    """Wait until the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
