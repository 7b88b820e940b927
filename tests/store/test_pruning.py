"""Pruning removes what is past its time, and nothing that awaits a response or bills."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel, func, select

from domain.rulebook import load
from domain.rulebook.treatment_rows import Window
from store.pruning import Pruned, prune
from store.tables import AuditEntry, ClaimVersion, ReplyFile
from store.vault import audit
from tests.kit.claims import LATER, encounter_of, files, send
from tests.kit.recorder import NOW, Recorder, recorder
from tests.kit.rules import rulebook_texts

DIGEST = "d" * 64


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


def span(r: Recorder, key: str) -> timedelta:
    return r.service.config.rules().one(Window, NOW.date(), key=key).span


def pruned(r: Recorder, inbox: Path, now: datetime, *, dry_run: bool = False) -> Pruned:
    rules = r.service.config.rules()
    return prune(
        r.service.db, r.service.keys, rules, r.activities.claim_life.outbox, inbox, now, "operator", dry_run=dry_run
    )


def put(r: Recorder, encounter: str, state: str, unanswered: bool, standing: str = "") -> None:
    with r.service.db.write() as session:
        row = session.get_one(ClaimVersion, (encounter, "C", 1, 1))
        row.state, row.standing = state, row.standing | {"untold": unanswered, "state": standing or state}
        session.add(row)


def counts(r: Recorder) -> dict[str, int]:
    with r.service.db.read() as session:
        tables = SQLModel.metadata.sorted_tables
        return {table.name: session.exec(select(func.count()).select_from(table)).one() for table in tables}


async def test_a_claim_file_stays_until_it_was_answered_and_its_time_is_over(r: Recorder, tmp_path: Path) -> None:
    encounter, inbox = await encounter_of(r), tmp_path / "inbox"
    send(r, encounter)
    (path,) = files(r)
    after = LATER + span(r, "keep_exchanged_files")
    put(r, encounter, "transmitted", unanswered=False)
    assert pruned(r, inbox, after + timedelta(days=900)).claim_files == 0, "no response to the claim"

    put(r, encounter, "superseded", unanswered=False, standing="transmitted")
    assert pruned(r, inbox, after + timedelta(days=900)).claim_files == 0, (
        "no response to the version that was replaced"
    )
    put(r, encounter, "voided", unanswered=False)
    assert pruned(r, inbox, after + timedelta(days=900)).claim_files == 0, "no response to the void"

    put(r, encounter, "paid", unanswered=False)
    assert pruned(r, inbox, after - timedelta(hours=1)).claim_files == 0, "its time is not over"
    before = counts(r)
    would = pruned(r, inbox, after + timedelta(hours=1), dry_run=True)
    assert (would.claim_files, would.bytes) == (1, path.stat().st_size)
    assert path.exists()
    assert counts(r) == before
    assert pruned(r, inbox, after + timedelta(hours=1)).claim_files == 1
    assert files(r) == []
    assert counts(r) == before | {"audit": before["audit"] + 1}, "facts, claims and chains are as they were"
    send(r, encounter, now=after)
    assert files(r) == [], "it is not written again"


async def test_a_shadow_file_without_a_response_is_removed_after_its_time(r: Recorder, tmp_path: Path) -> None:
    encounter = await encounter_of(r)
    send(r, encounter)
    put(r, encounter, "transmitted", unanswered=True)
    after = LATER + span(r, "keep_exchanged_files") + timedelta(hours=1)
    assert pruned(r, tmp_path / "inbox", after).claim_files == 1


async def test_only_an_imported_payer_file_is_removed(r: Recorder, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    for name in (f"processed/{DIGEST[:24]}.x12", "processed/strange.x12", "quarantine/torn.x12", "new.835"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("ISA")
    with r.service.db.write() as session:
        session.add(ReplyFile(digest=DIGEST, taken_at=NOW, moved_at=NOW))
        session.add(ReplyFile(digest="e" * 64, taken_at=NOW))
    assert pruned(r, inbox, NOW + timedelta(days=1)).reply_files == 0
    assert pruned(r, inbox, NOW + span(r, "keep_exchanged_files") + timedelta(hours=1)).reply_files == 1
    left = {path.relative_to(inbox).as_posix() for path in inbox.rglob("*") if path.is_file()}
    assert left == {"processed/strange.x12", "quarantine/torn.x12", "new.835"}


async def test_access_records_are_kept_for_their_years_and_pruning_is_audited(r: Recorder, tmp_path: Path) -> None:
    kept = span(r, "keep_access_records")
    assert kept >= timedelta(days=6 * 365)
    with r.service.db.write() as session:
        audit(session, "biller", "claim", "enc_old", "read", NOW)
        audit(session, "biller", "claim", "enc_new", "read", NOW + timedelta(days=2))
    assert pruned(r, tmp_path, NOW + kept + timedelta(days=1)).access_records == 1
    with r.service.db.read() as session:
        rows = {(row.action, row.target) for row in session.exec(select(AuditEntry))}
    assert ("claim", "enc_new") in rows
    assert ("claim", "enc_old") not in rows
    assert ("prune", "(store)") in rows


async def test_a_span_without_length_removes_nothing(r: Recorder, tmp_path: Path) -> None:
    send(r, await encounter_of(r))
    key = 'key = "keep_exchanged_files"\n'
    texts = {name: text.replace(f"{key}days = 180\n", f"{key}count = 1\n") for name, text in rulebook_texts().items()}
    with pytest.raises(ValueError, match="keep_exchanged_files: give it days"):
        prune(
            r.service.db,
            r.service.keys,
            load(texts, "current"),
            r.activities.claim_life.outbox,
            tmp_path,
            LATER,
            "operator",
        )
    assert len(files(r)) == 1
