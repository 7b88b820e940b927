"""Pruning: removes old files exchanged with payers and old access records. Never a fact, a claim or a chain of identity.

A claim file is removed when every claim in it was answered and its time is over; it can be rendered again from the
database. A payer response file is removed when it was imported; its responses are events. What still needs work (an
unanswered file, a refused file, quarantine) stays whatever its age.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from domain.billing.submission.model import State
from domain.rulebook import Rulebook
from domain.rulebook.treatment_rows import Window
from store.claims import sent_versions
from store.engine import Database
from store.keys import Keyring
from store.outbox import file_path
from store.seals import removed
from store.tables import AuditEntry, ReplyFile
from store.vault import audit

PROCESSED = "processed"
"""Where the inbox directory keeps imported files (`intake.payer_files.directory`)."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was or would be removed: files with their size in bytes, and entries of the audit."""

    claim_files: int = 0
    reply_files: int = 0
    bytes: int = 0
    access_records: int = 0


def prune(
    db: Database,
    keys: Keyring,
    rules: Rulebook,
    outbox: Path,
    inbox: Path,
    now: datetime,
    actor: str,
    *,
    dry_run: bool = False,
) -> Pruned:
    """Remove what is past its time. May run beside a running stack and be interrupted; each run is in the audit.

    Raises:
        NoRule: the rulebook has no retention time for one of them.
        ValueError: a retention time is zero: everything would be removed.
        OSError: a file cannot be removed; run it again.
    """
    files_before, records_before = (
        now - _kept_for(rules, now, key) for key in ("keep_exchanged_files", "keep_access_records")
    )
    with db.read() as session:
        sent = [path for path in _answered(session, outbox, files_before) if path.is_file()]
        imported = [path for path in _imported(session, inbox, files_before) if path.is_file()]
        old = session.exec(select(func.count()).where(col(AuditEntry.at) < records_before)).one()
    pruned = Pruned(len(sent), len(imported), sum(path.stat().st_size for path in (*sent, *imported)), old)
    if dry_run:
        return pruned
    for path in (*sent, *imported):
        path.unlink(missing_ok=True)
    with db.write() as session:
        before = col(AuditEntry.at) < records_before
        ended = session.exec(select(AuditEntry.audit_id).where(before)).all()
        removed(session, keys, "audit", ended, "retention period over", actor, now)
        session.execute(delete(AuditEntry).where(before))
        outcome = f"{pruned.claim_files} claim files, {pruned.reply_files} payers' files, {old} access records"
        audit(session, actor, "prune", "(store)", outcome, now)
    return pruned


def _kept_for(rules: Rulebook, now: datetime, key: str) -> timedelta:
    row = rules.one(Window, now.astimezone(UTC).date(), key=key)
    if row.span <= timedelta(0):
        raise ValueError(f"{row.id}: give it days; a span without length would remove everything")
    return row.span


def _answered(session: Session, outbox: Path, before: datetime) -> Iterator[Path]:
    """Files written before that moment whose claims await no response."""
    done: dict[Path, bool] = {}
    for sent, state, status in sent_versions(session):
        path = file_path(outbox, sent)
        # Superseded versions count, too; a void has the state voided from its transmission, before its response.
        states = {state, status.state}
        sent_out = State.TRANSMITTED in states or (State.VOIDED in states and not status.response_kinds)
        waits = sent_out and not status.unanswered_in_shadow
        over = sent.written_at is not None and sent.written_at < before and not waits
        done[path] = done.get(path, True) and over
    yield from sorted(path for path, over in done.items() if over)


def _imported(session: Session, inbox: Path, before: datetime) -> Iterator[Path]:
    moved = select(ReplyFile.digest).where(col(ReplyFile.moved_at) < before).order_by(ReplyFile.digest)
    for digest in session.exec(moved):
        yield inbox / PROCESSED / f"{digest[:24]}.x12"
