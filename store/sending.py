"""Whether claims may be sent: outbox, its index and the database are compared before the first send and at every number.

A database that was set back (an older backup, point-in-time recovery, failover to a replica that lagged) takes numbers again
that files already have. Each contradiction is a finding; while one is not settled, no number is taken and no file written.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlmodel import Session, col, select

from domain.alerts.model import Finding
from domain.billing.x12.claim_files import ClaimFile, read_claim_file
from domain.billing.x12.entries import NotUsable
from store import alerts, recovered
from store.claims import count_of
from store.engine import Database
from store.installation import controls_taken, ensure, epoch_of, interchanges_taken
from store.keys import Keyring
from store.outbox import claim_files, relative_path
from store.outbox_index import Entry, IndexedClaim, OutboxIndex, digest_of_file
from store.tables import OutboxFinding, Transmission

SENDING_HELD = "sending_held"
ALERT = Finding(kind=SENDING_HELD, scope="sending")
FILE_DIFFERS, UNKNOWN_FILE, UNKNOWN_NUMBER = "file_differs", "unknown_file", "unknown_number"
NUMBER_BEYOND, NOT_RECORDED = "number_beyond", "not_recorded"
INDEX_MISSING, INDEX_DAMAGED = "index_missing", "index_damaged"
MEANING: Mapping[str, str] = {
    FILE_DIFFERS: "the file has other content than the one that was written under its number",
    UNKNOWN_FILE: "the file is of no claim in the database",
    UNKNOWN_NUMBER: "a claim was sent under this number that the database does not know",
    NUMBER_BEYOND: "numbers were used that the database would take again",
    NOT_RECORDED: "the database says that the file was written; outbox and index do not have it",
    INDEX_MISSING: "the index of the outbox is missing: wrong directory, missing mount, or deleted",
    INDEX_DAMAGED: "lines of the index were changed, or are of another installation",
}
LOOK_AGAIN = 60.0
"""Seconds between two comparisons while sending is held."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Where outbox, index and database contradict each other."""

    kind: str
    name: str
    path: str | None = None
    mode: str | None = None
    receiver: str | None = None
    interchange: int | None = None
    control: str | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


class Sending:
    """Guards the numbers and files of one outbox in one process."""

    def __init__(self, db: Database, keys: Keyring, outbox: Path) -> None:
        self.db, self.keys, self.outbox = db, keys, outbox
        self.index = OutboxIndex(outbox, keys)
        self._lock = threading.Lock()
        self._compare_at: float | None = 0.0

    def ready(self, now: datetime) -> None:
        """Compare once in a process, and from time to time while sending is held. Call it outside of a transaction.

        Raises:
            OSError: the outbox cannot be read or written.
        """
        with self._lock:
            if self._compare_at is None or time.monotonic() < self._compare_at:
                return
            with self.db.write() as session:
                found = compare(session, self.keys, self.index, now)
                held = record(session, found, now)
            self._compare_at = time.monotonic() + LOOK_AGAIN if held else None

    def held(self, session: Session) -> bool:
        """True while no number may be taken and no file written; looks at the database of this transaction."""
        self.index.refresh()
        if beyond(session, self.index):
            self._compare_at = 0.0
            return True
        if unsettled(session):
            if self._compare_at is None:
                self._compare_at = 0.0
            return True
        return False

    def conflict(self, sent: Transmission, now: datetime) -> None:
        """Note that the outbox has another file under the number of a transmission: all sending is held."""
        found = Contradiction(
            FILE_DIFFERS,
            f"{relative_path(sent)}:{sent.control_number}",
            relative_path(sent),
            sent.mode,
            sent.receiver_id,
            sent.interchange,
            sent.control_number,
        )
        with self.db.write() as session:
            record(session, [found], now)
        self._compare_at = 0.0


def unsettled(session: Session) -> Sequence[OutboxFinding]:
    """The findings that hold sending."""
    query = select(OutboxFinding).where(col(OutboxFinding.settled_at).is_(None))
    return session.exec(query.order_by(col(OutboxFinding.found_at), col(OutboxFinding.finding_key))).all()


def record(session: Session, found: Iterable[Contradiction], now: datetime) -> bool:
    """Keep findings, open or resolve the alert; returns whether sending is held."""
    for one in found:
        if session.get(OutboxFinding, one.key) is None:
            session.add(
                OutboxFinding(
                    finding_key=one.key,
                    kind=one.kind,
                    path=one.path,
                    mode=one.mode,
                    receiver_id=one.receiver,
                    interchange=one.interchange,
                    control_number=one.control,
                    found_at=now,
                )
            )
    session.flush()
    open_now = unsettled(session)
    if open_now:
        detail = f"{len(open_now)} findings, first: {MEANING.get(open_now[0].kind, open_now[0].kind)}"
        alerts.open_once(session, None, Finding(kind=ALERT.kind, scope=ALERT.scope, detail=detail), now)
    else:
        alerts.resolve(session, ALERT.key, now)
    return bool(open_now)


def highest(index: OutboxIndex) -> tuple[dict[tuple[str, str], int], int]:
    """The highest interchange of each mode and receiver, and the highest control number, that the index knows."""
    interchanges: dict[tuple[str, str], int] = defaultdict(int)
    control = 0
    for entry in index.entries.values():
        one = (entry.mode, entry.receiver)
        interchanges[one] = max(interchanges[one], entry.interchange)
        control = max(control, *(count_of(claim.control) or 0 for claim in entry.claims), 0)
    return interchanges, control


def beyond(session: Session, index: OutboxIndex) -> list[Contradiction]:
    """Numbers of the index that the counters of this database have not reached."""
    interchanges, control = highest(index)
    taken = interchanges_taken(session)
    found = [
        Contradiction(NUMBER_BEYOND, f"{mode} {receiver} {number}", None, mode, receiver, number)
        for (mode, receiver), number in sorted(interchanges.items())
        if number > taken.get((mode, receiver), 0)
    ]
    if control > controls_taken(session):
        found.append(Contradiction(NUMBER_BEYOND, f"control {control}", control=f"CE{control:010d}"))
    return found


def compare(session: Session, keys: Keyring, index: OutboxIndex, now: datetime) -> list[Contradiction]:
    """Compare outbox, index and database; what an earlier release wrote is taken into the index first.

    The index is read before the rows: a row is committed before its file has a line. So a writer beside this does not look
    like a contradiction.
    """
    row = ensure(session, now)
    index.refresh()
    files = {path.relative_to(index.outbox).as_posix(): path for path in claim_files(index.outbox)}
    if row.outbox_index_since is not None and not index.begun:
        return [Contradiction(INDEX_MISSING, row.outbox_index_since.isoformat())]
    settle_missing(session, now)
    if index.damaged:
        lines = ", ".join(map(str, index.damaged[:5]))
        return [Contradiction(INDEX_DAMAGED, f"lines {lines} of {len(index.damaged)}")]
    if row.outbox_index_since is None:
        index.begin(now)
        row.outbox_index_since = now
        session.add(row)
    known = set(session.exec(select(OutboxFinding.finding_key).where(col(OutboxFinding.settled_at).is_not(None))))
    found = [
        *_taken_over(session, keys, index, files),
        *_contradictions(session, index, files),
        *beyond(session, index),
    ]
    return [one for one in {one.key: one for one in found}.values() if one.key not in known]


def settle_missing(session: Session, now: datetime) -> None:
    """An outbox that is there again is over by itself: nothing was sent meanwhile."""
    for one in unsettled(session):
        if one.kind == INDEX_MISSING:
            one.settled_at, one.settled_by, one.note = now, "(comparison)", "the index is there again"
            session.add(one)


def _taken_over(
    session: Session, keys: Keyring, index: OutboxIndex, files: Mapping[str, Path]
) -> Iterator[Contradiction]:
    """Write lines for files of an earlier release, and of files that are there as their row says."""
    made = []
    for path, rows in _by_path(session, index).items():
        written = [row for row in rows if row.written_at is not None]
        if not written or path in index.entries:
            continue
        there = digest_of_file(files[path]) if path in files else None
        if any(row.file_digest is not None and row.file_digest != there for row in written):
            continue  # reported as not recorded, or as another file
        read = _read(files[path]) if there is not None else None
        if read is not None and {one.control for one in read.claims} != {row.control_number for row in written}:
            yield _of(FILE_DIFFERS, path, written[0], f"{path}:{there[:16] if there else ''}")
        made.append(entry_of_rows(keys, path, written, there, read, epoch_of(session)))
    index.add(made)


def entry_of_rows(
    keys: Keyring, path: str, rows: Sequence[Transmission], digest: str | None, read: ClaimFile | None, epoch: int
) -> Entry:
    """The line of a file that the database knows; of one that is gone without what only its text shows."""
    parts = {one.control: one for one in read.claims} if read else {}
    claims = tuple(
        recovered.indexed(keys, parts[row.control_number], row)
        if row.control_number in parts
        else IndexedClaim(
            control=row.control_number,
            place=row.set_number,
            encounter=row.encounter_id,
            letter=row.letter,
            ordinal=row.ordinal,
            version=row.version,
            insured=row.insured_mark,
        )
        for row in rows
    )
    first = rows[0]
    at = first.created_at.astimezone(UTC).isoformat()
    return Entry(path, digest, first.mode, first.receiver_id, first.interchange, epoch, at, claims)


def _by_path(session: Session, index: OutboxIndex) -> dict[str, list[Transmission]]:
    found: dict[str, list[Transmission]] = defaultdict(list)
    for row in session.exec(select(Transmission).order_by(col(Transmission.set_number))):
        found[relative_path(row)].append(row)
    return found


def compared_files(session: Session, outbox: Path) -> tuple[int, tuple[str, ...]]:
    """How many files of the outbox are what was sent by their recorded digest, and the paths of those that are not.

    A file that was removed when its time was over is neither.
    """
    digests: dict[str, str] = {}
    for row in session.exec(select(Transmission).where(col(Transmission.file_digest).is_not(None))):
        digests[relative_path(row)] = row.file_digest or ""
    there = {path: digest_of_file(outbox / path) for path in digests}
    differing = tuple(sorted(path for path, found in there.items() if found is not None and found != digests[path]))
    return sum(found == digests[path] for path, found in there.items()), differing


def _contradictions(session: Session, index: OutboxIndex, files: Mapping[str, Path]) -> Iterator[Contradiction]:
    entries = dict(index.entries)
    rows = _by_path(session, index)
    kept = recovered.known(session)
    for path, file in files.items():
        there, entry = digest_of_file(file), entries.get(path)
        if there is None:
            continue
        if entry is not None and entry.digest is not None and entry.digest != there:
            yield Contradiction(
                FILE_DIFFERS, f"{path}:{there[:16]}", path, entry.mode, entry.receiver, entry.interchange
            )
        elif entry is None and path not in rows:
            yield Contradiction(UNKNOWN_FILE, path, path)
    for path, entry in entries.items():
        mine = {row.control_number: row for row in rows.get(path, ())}
        for claim in entry.claims:
            named = (entry.mode, entry.receiver, entry.interchange, claim.control)
            if not _is(mine.get(claim.control), claim) and named not in kept:
                yield Contradiction(
                    UNKNOWN_NUMBER,
                    f"{path}:{claim.control}",
                    path,
                    entry.mode,
                    entry.receiver,
                    entry.interchange,
                    claim.control,
                )
    index.refresh()
    for path, some in rows.items():
        entry = index.entries.get(path)
        for row in some:
            recorded = entry is not None and row.control_number in entry.controls
            named = (row.mode, row.receiver_id, row.interchange, row.control_number)
            if row.written_at is not None and row.file_digest is not None and not recorded and named not in kept:
                yield _of(NOT_RECORDED, path, row, f"{path}:{row.control_number}")


def _is(row: Transmission | None, claim: IndexedClaim) -> bool:
    """The row is that of the claim in the file, and not of another that took its number again."""
    if row is None:
        return False
    of_file = (claim.encounter, claim.letter, claim.ordinal, claim.version)
    return claim.encounter is None or row.other_content or _same(row, of_file)


def _same(row: Transmission, of_file: tuple[str | None, str | None, int | None, int | None]) -> bool:
    return (row.encounter_id, row.letter, row.ordinal, row.version) == of_file


def _of(kind: str, path: str, row: Transmission, name: str) -> Contradiction:
    return Contradiction(kind, name, path, row.mode, row.receiver_id, row.interchange, row.control_number)


def _read(path: Path) -> ClaimFile | None:
    try:
        return read_claim_file(path.read_text(encoding="latin-1"))
    except (OSError, NotUsable):
        return None
