"""Settle what outbox, index and database contradict each other in: keep what was sent, begin new numbers, record who did it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from sqlmodel import Session, col, select

from domain.billing.submission.model import State
from domain.billing.x12.claim_files import ClaimFile, SentClaim, read_claim_file
from domain.billing.x12.entries import NotUsable
from store import recovered
from store.engine import Database
from store.installation import ensure, raise_epoch
from store.keys import Keyring
from store.outbox import claim_files, relative_path
from store.outbox_index import Entry, OutboxIndex, digest_of_file
from store.recovered import CLOSED, OPEN, OTHER, SAME
from store.sending import (
    FILE_DIFFERS,
    beyond,
    compare,
    entry_of_rows,
    record,
    unsettled,
)
from store.tables import ClaimVersion, OutboxFinding, RecoveredClaim, Transmission
from store.vault import audit

SETTLED = "settled"
NEVER_SENT = "its file never left the outbox"
_COPY = "*"
_LARGEST_COPY = 16 * 1024 * 1024


class NotSettled(ValueError):
    """It cannot be settled so; the message says why and what to do."""


@dataclass(slots=True)
class Outcome:
    """What settling did. `left`: findings that need a note of who looked at them."""

    recovered: list[str] = field(default_factory=list)
    without_copy: list[str] = field(default_factory=list)
    never_sent: list[str] = field(default_factory=list)
    epoch: int | None = None
    settled: int = 0
    left: list[OutboxFinding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of claims: of the outbox (with its path there), or a copy from elsewhere."""

    path: str | None
    digest: str
    file: ClaimFile


def look(db: Database, keys: Keyring, outbox: Path, now: datetime) -> tuple[list[OutboxFinding], list[RecoveredClaim]]:
    """Compare now; returns what holds sending, and the claims at a payer for which no encounter came again yet."""
    with db.write() as session:
        record(session, compare(session, keys, OutboxIndex(outbox, keys), now), now)
        return list(unsettled(session)), list(recovered.unmatched(session))


def settle(
    db: Database,
    keys: Keyring,
    outbox: Path,
    by: str,
    now: datetime,
    *,
    copies: Sequence[Path] = (),
    note: str = "",
    new_epoch: bool = False,
    above: int = 0,
    zone: tzinfo = UTC,
) -> Outcome:
    """Keep every claim that was sent and that the database does not know; begin a new epoch; settle the findings.

    Interrupted, it can be run again. Files are never deleted.

    Args:
        copies: directories with copies of claim files, from the archive or the clearinghouse.
        note: why a file with other content is in order; without it such findings stay open.
        new_epoch: begin one also where nothing contradicts, as a restore does.
        above: the highest epoch known elsewhere.
        zone: of the times in file headers.

    Raises:
        OSError: the outbox cannot be read or written.
        NumbersExhausted: there is no epoch left.
    """
    index, out = OutboxIndex(outbox, keys), Outcome()
    with db.write() as session, index.locked():
        _repaired(session, keys, index, now)
        record(session, compare(session, keys, index, now), now)
        found = list(unsettled(session))
        _recover(session, keys, index, copies, zone, now, out)
        _add_rows(session, keys, index)
        _release_conflicts(session, found)
        if new_epoch or out.recovered or beyond(session, index) or any(one.kind != FILE_DIFFERS for one in found):
            receivers = {(entry.mode, entry.receiver) for entry in index.entries.values()}
            out.epoch = raise_epoch(session, max(above, index.epoch), receivers, now)
            index.note_epoch(out.epoch, now)
        for one in found:
            if one.kind == FILE_DIFFERS and not note:
                out.left.append(one)
                continue
            one.settled_at, one.settled_by, one.note = now, by, note or None
            session.add(one)
            out.settled += 1
        session.flush()
        record(session, (), now)
        audit(session, by, "reconcile", "(outbox)", f"settled {out.settled}, recovered {len(out.recovered)}", now)
    return out


def _repaired(session: Session, keys: Keyring, index: OutboxIndex, now: datetime) -> None:
    """An index that is missing or damaged begins again with every line that holds; the old one is kept."""
    row = ensure(session, now)
    index.refresh()
    missing = row.outbox_index_since is not None and not index.begun
    if not missing and not index.damaged:
        return
    record(session, compare(session, keys, index, now), now)
    whole, epoch = list(index.entries.values()), index.epoch
    index.move_away(f"index.{now:%Y%m%dT%H%M%S}.jsonl.damaged")
    index.begin(now)
    index.add(whole)
    if epoch:
        index.note_epoch(epoch, now)


def _add_rows(session: Session, keys: Keyring, index: OutboxIndex) -> None:
    """Lines for files that the database knows and the index lost."""
    by_path: dict[str, list[Transmission]] = {}
    written = select(Transmission).where(col(Transmission.written_at).is_not(None))
    for row in session.exec(written.order_by(col(Transmission.set_number))):
        by_path.setdefault(relative_path(row), []).append(row)
    index.add(
        entry_of_rows(keys, path, rows, rows[0].file_digest, None, 0)
        for path, rows in by_path.items()
        if path not in index.entries
    )


def _recover(
    session: Session,
    keys: Keyring,
    index: OutboxIndex,
    copies: Sequence[Path],
    zone: tzinfo,
    now: datetime,
    out: Outcome,
) -> None:
    found = [*_outbox_files(index), *_copies(copies)]
    texts = {(copy.digest, claim.control): claim for copy in found for claim in copy.file.claims}
    rows = {row.control_number: row for row in session.exec(select(Transmission))}
    numbers = {(entry.mode, entry.receiver, entry.interchange) for entry in index.entries.values()}
    made = [entry for copy in found if (entry := _entry(keys, copy, rows, numbers, zone)) is not None]
    index.add(made)
    known = recovered.known(session)
    for entry in _entries(index, made, found, zone, keys):
        for claim in entry.claims:
            if (entry.mode, entry.receiver, entry.interchange, claim.control) in known:
                continue
            if _is_row(rows.get(claim.control), entry, claim.encounter):
                continue
            sent: SentClaim | None = texts.get((entry.digest or "", claim.control))
            kept = recovered.keep(session, keys, entry, claim, sent.text if sent else None, now)
            draft = index.draft_of(entry)
            if entry.digest and draft.exists():
                draft.unlink()
                kept.state, kept.note, kept.settled_at = CLOSED, NEVER_SENT, now
                out.never_sent.append(claim.control)
                continue
            out.recovered.append(claim.control)
            if sent is None:
                out.without_copy.append(claim.control)


def _is_row(row: Transmission | None, entry: Entry, encounter: str | None) -> bool:
    if row is None:
        return False
    place = (row.mode, row.receiver_id, row.interchange) == (entry.mode, entry.receiver, entry.interchange)
    return place and encounter in (None, row.encounter_id)


def _entries(
    index: OutboxIndex, made: Iterable[Entry], found: Iterable[_Copy], zone: tzinfo, keys: Keyring
) -> Iterator[Entry]:
    """Every file that is known of, and files of the outbox whose content is not the one of their line."""
    yield from list(index.entries.values())
    for copy in found:
        entry = index.entries.get(copy.path or "")
        if entry is not None and entry.digest and entry.digest != copy.digest:
            yield _entry_of(keys, copy, {}, entry.path, zone)


def _entry(
    keys: Keyring,
    copy: _Copy,
    rows: Mapping[str, Transmission],
    numbers: set[tuple[str, str, int]],
    zone: tzinfo,
) -> Entry | None:
    """The line of a file that the index does not know; None for one that it knows, or whose claims are all known."""
    mode = "shadow" if copy.file.test else "live"
    if (mode, copy.file.receiver, copy.file.interchange) in numbers:
        return None
    if copy.path is None and all(claim.control in rows for claim in copy.file.claims):
        return None
    payer = copy.file.claims[0].payer
    path = copy.path or f"{mode}/{payer}/{copy.file.receiver}-{copy.file.interchange:09d}.x12"
    return _entry_of(keys, copy, rows, path, zone)


def _entry_of(keys: Keyring, copy: _Copy, rows: Mapping[str, Transmission], path: str, zone: tzinfo) -> Entry:
    claims = tuple(recovered.indexed(keys, claim, _row_of(copy, claim, rows)) for claim in copy.file.claims)
    at = copy.file.made.replace(tzinfo=zone).astimezone(UTC).isoformat()
    mode = "shadow" if copy.file.test else "live"
    return Entry(path, copy.digest, mode, copy.file.receiver, copy.file.interchange, 0, at, claims)


def _row_of(copy: _Copy, claim: SentClaim, rows: Mapping[str, Transmission]) -> Transmission | None:
    row = rows.get(claim.control)
    mode = "shadow" if copy.file.test else "live"
    place = (mode, copy.file.receiver, copy.file.interchange)
    return row if row is not None and (row.mode, row.receiver_id, row.interchange) == place else None


def _outbox_files(index: OutboxIndex) -> Iterator[_Copy]:
    drafts = ((index.draft_of(entry), None) for entry in index.left_drafts())
    files = ((path, path.relative_to(index.outbox).as_posix()) for path in claim_files(index.outbox))
    for path, name in (*files, *drafts):
        if (read := _read(path)) is not None:
            yield _Copy(name, digest_of_file(path) or "", read)


def _copies(directories: Sequence[Path]) -> Iterator[_Copy]:
    for directory in directories:
        for path in sorted(directory.rglob(_COPY)):
            if path.is_file() and path.stat().st_size <= _LARGEST_COPY and (read := _read(path)) is not None:
                yield _Copy(None, digest_of_file(path) or "", read)


def _read(path: Path) -> ClaimFile | None:
    try:
        return read_claim_file(path.read_text(encoding="latin-1"))
    except (OSError, NotUsable):
        return None


def _release_conflicts(session: Session, found: Iterable[OutboxFinding]) -> None:
    """A number whose file is another claim's, and that was not written, is given back: the claim takes a new one."""
    for one in found:
        if one.control_number is None or one.interchange is None:
            continue
        rows = session.exec(
            select(Transmission).where(
                Transmission.control_number == one.control_number,
                Transmission.interchange == one.interchange,
                col(Transmission.written_at).is_(None),
            )
        )
        for row in rows.all():
            version = session.get_one(ClaimVersion, (row.encounter_id, row.letter, row.ordinal, row.version))
            session.delete(row)
            if version.state == State.TRANSMITTED:
                version.state, version.control_number = State.EMITTED.value, None
                version.standing = {**version.standing, "state": State.EMITTED.value}
            session.add(version)


def decide(db: Database, control: str, claim: str, decision: str, by: str, now: datetime) -> None:
    """Record a biller's answer: the claim (`enc_…/C/1`) is the one sent under this number, or another.

    Raises:
        NotSettled: no claim of that number waits.
    """
    if decision not in (SAME, OTHER):
        raise NotSettled(f"{decision}: the answers are same and other")
    with db.write() as session:
        row = _waiting(session, control)
        row.decision, row.decided_for, row.settled_by = decision, claim, by
        session.add(row)
        audit(session, by, f"reconcile {decision}", control, SETTLED, now)


def close(db: Database, control: str, reason: str, by: str, now: datetime) -> None:
    """Close a recovered claim for which no encounter will come again.

    Raises:
        NotSettled: no claim of that number waits, or there is no reason.
    """
    if not reason.strip():
        raise NotSettled("say why with --reason: it stays on record")
    with db.write() as session:
        row = _waiting(session, control)
        row.state, row.note, row.settled_by, row.settled_at = CLOSED, reason.strip(), by, now
        session.add(row)
        audit(session, by, "reconcile close", control, SETTLED, now)


def _waiting(session: Session, control: str) -> RecoveredClaim:
    query = select(RecoveredClaim).where(RecoveredClaim.control_number == control, RecoveredClaim.state == OPEN)
    row = session.exec(query.with_for_update()).first()
    if row is None:
        raise NotSettled(f"{control}: no recovered claim with this number waits; `cart-encounter reconcile` lists them")
    return row
