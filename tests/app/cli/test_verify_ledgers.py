"""`cart-encounter verify` on the sealed ledgers, and heads that were written on an earlier day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import delete
from typer.testing import CliRunner, Result

from app.cli.main import cli
from store.engine import Database
from store.keys import Keyring, create_keyring
from store.outbox import relative_path
from store.seals import BY_NAME, LEDGERS, seal_batch
from store.tables import AuditEntry, Encounter, SealedBatch, Transmission
from store.vault import audit
from tests.kit.databases import migrated_database
from tests.kit.rows import claim_row

AT = datetime(2026, 6, 1, 9, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Database, Keyring]]:
    """An installation with three sealed audit entries."""
    db, keys = migrated_database(tmp_path / "encounters.db"), create_keyring(tmp_path / "keys.json")
    monkeypatch.setenv("CART_DATABASE_URL", db.url)
    write(db, keys, "one", "two", "three")
    yield tmp_path, db, keys
    db.close()


def write(db: Database, keys: Keyring, *callers: str) -> None:
    with db.write() as session:
        for caller in callers:
            audit(session, caller, "GET /v1/claims", "enc_1", "read", AT)
    for ledger in LEDGERS:
        seal_batch(db, keys, ledger, AT)


def run(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["verify", *arguments, "--data-dir", str(directory)])


def test_every_ledger_has_its_line(home: tuple[Path, Database, Keyring]) -> None:
    answer = run(home[0])
    assert answer.exit_code == 0, answer.output
    assert "audit: 3 rows in 1 batches, intact, head " in answer.output
    assert all(f"{name}: " in answer.output for name in BY_NAME)


def test_a_row_that_is_gone_is_named(home: tuple[Path, Database, Keyring]) -> None:
    directory, db, _ = home
    remove(db, lambda s: s.execute(delete(AuditEntry).where(AuditEntry.actor == "two")))
    answer = run(directory, "--ledger", "audit")
    assert answer.exit_code == 1
    assert "batch 1, row aud_" in answer.output
    assert "the row is missing" in answer.output


def test_a_row_that_waits_for_its_seal_is_named_and_no_fault(home: tuple[Path, Database, Keyring]) -> None:
    directory, db, _ = home
    with db.write() as session:
        audit(session, "four", "GET /v1/claims", "enc_1", "read", AT)
    answer = run(directory, "--ledger", "audit")
    assert answer.exit_code == 0
    assert "not sealed yet: 1 since 2026-06-01 09:00:00 UTC (aud_" in answer.output


def test_heads_of_an_earlier_day_show_a_cut_end(home: tuple[Path, Database, Keyring], tmp_path: Path) -> None:
    directory, db, keys = home
    write(db, keys, "four")
    heads = tmp_path / "heads.json"
    assert run(directory, "--write-heads", str(heads)).exit_code == 0
    assert run(directory, "--since-heads", str(heads)).exit_code == 0
    remove(db, lambda s: s.execute(delete(AuditEntry).where(AuditEntry.sealed_in == 2)))
    remove(db, lambda s: s.execute(delete(SealedBatch).where(SealedBatch.position == 2)))
    assert run(directory, "--ledger", "audit").exit_code == 0
    answer = run(directory, "--since-heads", str(heads))
    assert answer.exit_code == 1
    assert "batch 2: a batch of the earlier check is missing" in answer.output


def test_an_auditor_checks_signatures_without_the_key_file(
    home: tuple[Path, Database, Keyring], tmp_path: Path
) -> None:
    directory, db, _ = home
    heads = tmp_path / "heads.json"
    assert run(directory, "--write-heads", str(heads)).exit_code == 0
    (directory / "keys.json").unlink()
    assert "signatures not checked" in run(directory).output
    assert run(directory, "--since-heads", str(heads)).exit_code == 0
    with db.write() as session:
        batch = session.get_one(SealedBatch, ("audit", 1))
        batch.signature = bytes(64)
    answer = run(directory, "--since-heads", str(heads))
    assert answer.exit_code == 1
    assert "the signature is not of this installation's key file" in answer.output


def test_changed_and_foreign_heads_are_refused(
    home: tuple[Path, Database, Keyring], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = home[0]
    heads = tmp_path_factory.mktemp("safe") / "heads.json"
    assert run(directory, "--write-heads", str(heads)).exit_code == 0
    text = heads.read_text()
    heads.write_text(text.replace('"position": 1', '"position": 2'))
    assert run(directory, "--since-heads", str(heads)).exit_code == 2
    heads.write_text(text)
    (directory / "keys.json").unlink()
    create_keyring(directory / "keys.json")
    answer = run(directory, "--since-heads", str(heads))
    assert (answer.exit_code, "the file is of another installation" in answer.output) == (2, True)


def remove(db: Database, act: object) -> None:
    with db.write() as session:
        assert callable(act)
        act(session)


def test_one_changed_byte_in_a_claim_file_is_found(home: tuple[Path, Database, Keyring]) -> None:
    directory, db, _ = home
    text = b"ISA*00*          ~"
    with db.write() as session:
        session.add(Encounter(encounter_id="enc_1", created_at=AT))
        session.flush()
        session.add(claim_row("enc_1", "C", 1, 1, "transmitted"))
        sent = Transmission(
            encounter_id="enc_1",
            letter="C",
            ordinal=1,
            version=1,
            control_number="CE0000000001",
            mode="live",
            receiver_id="MEDA",
            interchange=1,
            payer="medicare",
            created_at=AT,
            written_at=AT,
            file_digest=sha256(text).hexdigest(),
        )
        session.add(sent)
        file = directory / "outbox" / relative_path(sent)
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    assert "claim files: 1 as sent\n" in run(directory).output
    file.write_bytes(text.replace(b"00", b"01"))
    changed = run(directory)
    assert changed.exit_code == 1
    assert "claim files: 0 as sent, 1 changed\n  live/medicare/MEDA-000000001.x12: not what was sent" in changed.output
    file.unlink()
    assert "claim files: 0 as sent\n" in run(directory).output, "a file whose time is over is removed"
