"""The inbox directory: every file is taken in once, or put aside with a reason and an alert."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter as Metric
from sqlmodel import select

from activities.store import signals
from activities.store.engine import Database
from activities.store.inbox import receive
from activities.store.keys import Keyring
from activities.store.tables import ReplyFile, Transmission
from domain.claims.x12.answers import Answers, Entry, NotUsable, read

PROCESSED, QUARANTINE = "processed", "quarantine"
UNFINISHED = (".part", ".tmp", ".filepart")
PATIENCE = timedelta(minutes=2)
"""How long a file without an end may still be on its way."""
LARGEST = 32 * 1024 * 1024
POLL_SECONDS = 5.0

FILES = Metric("cart_reply_files_total", "Files of payers' answers, by what became of them.", ["outcome"])
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    text: str
    digest: str


class ReplyDirectory:
    """Takes files in from a directory, which it makes with `processed` and `quarantine` beneath it.

    A crash at any point is harmless: events are known by source and id, the file by its digest, and it is moved last. To
    replay a file that was put aside, move it back into the directory.

    Args:
        zone: of the times in the files.
    """

    def __init__(
        self,
        db: Database,
        keys: Keyring,
        directory: Path,
        zone: Callable[[], tzinfo],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: timedelta = PATIENCE,
    ) -> None:
        self._db, self._keys, self._directory, self._zone = db, keys, directory, zone
        self._clock, self._patience = clock, patience

    async def run(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Sweep until cancelled; an outage of database or disk is waited out."""
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except Exception as error:  # noqa: BLE001 the files are still there: again later
                log.warning("replies.sweep_failed", error=type(error).__name__)
            await asyncio.sleep(poll_seconds)

    def sweep(self) -> int:
        """Look at every file once; returns how many were taken in."""
        for name in ("", PROCESSED, QUARANTINE):
            (self._directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting = sorted(path for path in self._directory.iterdir() if path.is_file() and _finished(path.name))
        return sum(self._take(path) for path in waiting)

    def _take(self, path: Path) -> bool:
        digest = ""
        try:
            file = self._open(path)
            digest = file.digest
            if self._moved_before(file):
                return False
            answers = read(file.text, self._zone())
            events = [self._event(answers, entry, number) for number, entry in enumerate(answers.entries, start=1)]
        except NotUsable as error:
            if not (error.torn and self._young(path)):
                self._put_aside(path, digest, str(error))
            return False
        for event in events:
            receive(self._db, self._keys, event, self._clock(), event["source"])
        self._done(file, len(events))
        return True

    def _open(self, path: Path) -> _File:
        if path.stat().st_size > LARGEST:
            raise NotUsable("it is too large")
        body = path.read_bytes()
        digest = self._keys.digest("reply file", body.decode("latin-1"))
        try:
            return _File(path, body.decode("ascii"), digest)
        except UnicodeDecodeError:
            raise NotUsable("it is no X12 interchange") from None

    def _young(self, path: Path) -> bool:
        return self._clock() - datetime.fromtimestamp(path.stat().st_mtime, UTC) < self._patience

    def _moved_before(self, file: _File) -> bool:
        """True when it was taken in and only its move was missing.

        Raises:
            NotUsable: it was taken in and moved: this is a copy.
        """
        with self._db.read() as session:
            row = session.get(ReplyFile, file.digest)
        if row is None:
            return False
        if row.moved_at is not None:
            raise NotUsable("the same file was taken in before")
        self._move(file)
        return True

    def _event(self, answers: Answers, entry: Entry, number: int) -> dict[str, Any]:
        """The event of an entry. The sender's own number and the place in the file tell it from every other."""
        control = entry.control or self._control_of(answers, entry)
        return {
            "specversion": "1.0",
            "id": f"{answers.number}/{answers.made:%Y%m%d%H%M}/{number}",
            "source": f"/x12/{answers.sender}",
            "subject": control,
            "type": entry.type,
            "time": answers.made.isoformat(),
            "data": {"control_number": control, **entry.data},
        }

    def _control_of(self, answers: Answers, entry: Entry) -> str:
        """The claim in the interchange that is answered as a whole; each of ours holds one."""
        found = select(Transmission).where(
            Transmission.receiver_id == answers.sender, Transmission.interchange == entry.interchange
        )
        with self._db.read() as session:
            rows = session.exec(found).all()
        wanted = "shadow" if answers.test else "live"
        named = [row.control_number for row in rows if row.mode == wanted]
        if len(named) != 1:
            raise NotUsable("it answers an interchange that was not sent from here")
        return named[0]

    def _done(self, file: _File, replies: int) -> None:
        with self._db.write() as session:
            if session.get(ReplyFile, file.digest) is None:
                session.add(ReplyFile(digest=file.digest, taken_at=self._clock(), replies=replies))
        self._move(file)
        FILES.labels(outcome="taken").inc()

    def _move(self, file: _File) -> None:
        os.replace(file.path, self._directory / PROCESSED / f"{file.digest[:24]}.x12")
        with self._db.write() as session:
            session.get_one(ReplyFile, file.digest).moved_at = self._clock()

    def _put_aside(self, path: Path, digest: str, reason: str) -> None:
        """Move the file, write why, open an alert. The name it came with may name a person; it stays in the record."""
        name = digest[:24] or self._keys.digest("reply file name", path.name)[:24]
        target = self._directory / QUARANTINE / f"{name}.x12"
        record = {"reason": reason, "at": self._clock().isoformat(), "came_as": path.name}
        descriptor = os.open(target.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=2)
        with self._db.write() as session:
            signals.reply_file_refused(session, name, reason, self._clock())
        os.replace(path, target)
        FILES.labels(outcome="quarantined").inc()
        log.warning("replies.quarantined", file=name, reason=reason)


def _finished(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(UNFINISHED)
