"""The inbox directory: every file is imported once, or quarantined with a reason and an alert."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter as Metric

from domain.billing.x12.entries import NotUsable
from domain.site import Site
from intake import alerts
from intake.payer_files.importer import REPEATED, PayerFileImporter
from store.alerts import open_once
from store.engine import Database, DatabaseError
from store.keys import Keyring

PROCESSED, QUARANTINE = "processed", "quarantine"
UNFINISHED = (".part", ".tmp", ".filepart")
PATIENCE = timedelta(minutes=2)
"""How long a file without an end may still be on its way."""
LARGEST = 32 * 1024 * 1024
POLL_SECONDS = 5.0

FILES = Metric("cart_reply_files_total", "Payer response files, by result.", ["outcome"])
log = structlog.get_logger(__name__)


class ReplyDirectory:
    """Takes files in from a directory, which it makes with `processed` and `quarantine` beneath it.

    A crash at any point is harmless: events are known by source and id, the file by its digest, and it is moved last. To
    replay a quarantined file, move it back into the directory.

    Args:
        site: names the zone of the times in the files, and whether files of all systems of the hospital come here.
    """

    def __init__(
        self,
        db: Database,
        keys: Keyring,
        directory: Path,
        site: Callable[[], Site],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: timedelta = PATIENCE,
    ) -> None:
        self._db, self._keys, self._directory = db, keys, directory
        self._taker = PayerFileImporter(db, keys, site)
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
        """Look at every file once; returns how many were imported."""
        for name in ("", PROCESSED, QUARANTINE):
            (self._directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting = sorted(path for path in self._directory.iterdir() if path.is_file() and _finished(path.name))
        return sum(self._tried(path) for path in waiting)

    def _tried(self, path: Path) -> bool:
        """One file that cannot be read, or that the program was not written for, must not hold up those behind it."""
        try:
            return self._take(path)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 the file is still there: again later
            FILES.labels(outcome="failed").inc()
            log.warning("replies.file_failed", error=type(error).__name__)
            return False

    def _take(self, path: Path) -> bool:
        digest = ""
        try:
            self._check_size(path)
            digest = self._taker.digest(path)
            if self._moved_before(path, digest):
                return False
            taken = self._taker.take(path, self._clock())
        except FileNotFoundError:  # another worker took it
            return False
        except NotUsable as error:
            if not (error.torn and self._young(path)):
                self._quarantine(path, digest, str(error))
            return False
        self._move(path, digest)
        if taken.departures:
            self._record(
                PROCESSED, digest[:24], {"at": self._clock().isoformat(), "departures": list(taken.departures)}
            )
        FILES.labels(outcome="taken").inc()
        log.info(
            "replies.taken",
            file=digest[:24],
            answers=len(taken.receipts),
            passed_over=taken.passed_over,
            departures=list(taken.departures),
        )
        return True

    def _check_size(self, path: Path) -> None:
        if path.stat().st_size > LARGEST:
            raise NotUsable("it is too large")

    def _young(self, path: Path) -> bool:
        return self._clock() - datetime.fromtimestamp(path.stat().st_mtime, UTC) < self._patience

    def _moved_before(self, path: Path, digest: str) -> bool:
        """True when it was imported and only its move was missing.

        Raises:
            NotUsable: it was imported and moved: this is a copy.
        """
        known = self._taker.known(digest)
        if known is None:
            return False
        if known.moved_at is not None:
            raise NotUsable(REPEATED)
        self._move(path, digest)
        return True

    def _move(self, path: Path, digest: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another worker took the same file
            os.replace(path, self._directory / PROCESSED / f"{digest[:24]}.x12")
        self._taker.moved(digest, self._clock())

    def _quarantine(self, path: Path, digest: str, reason: str) -> None:
        """Move the file, write why, open an alert. The name it came with may name a person; it stays in the record."""
        name = digest[:24] or self._keys.digest("reply file name", path.name)[:24]
        target = self._directory / QUARANTINE / f"{name}.x12"
        record = {"reason": reason, "at": self._clock().isoformat(), "came_as": path.name}
        self._record(QUARANTINE, name, record)
        with self._db.write() as session:
            open_once(session, None, alerts.reply_file_refused(name, reason), self._clock())
        os.replace(path, target)
        FILES.labels(outcome="quarantined").inc()
        log.warning("replies.quarantined", file=name, reason=reason)

    def _record(self, where: str, name: str, record: dict[str, Any]) -> None:
        """What is to be known of a file, beside it."""
        path = self._directory / where / f"{name}.json"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=2)


def _finished(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(UNFINISHED)
