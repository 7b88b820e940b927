"""What is in quarantine can be read as it came, by whoever has database and keys, and that is on record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from app.cli.vault import vault_app
from intake.inbox import quarantine
from intake.inbox.receive import receive
from store.engine import Database
from store.keys import create_keyring, read_keyring
from store.tables import AuditEntry
from tests.kit import events as e
from tests.kit.databases import migrated_url

MESSAGE = "MSH|^~\\&|CADENCE\rPID|1||MRN-CANARY-77\r"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    create_keyring(tmp_path / "keys.json")
    monkeypatch.setenv("CART_DATABASE_URL", migrated_url(tmp_path / "encounters.db"))
    return tmp_path


def shown(data: Path, entry: str) -> tuple[int, str]:
    result = CliRunner().invoke(vault_app, ["original", entry, "--by", "integration", "--data-dir", str(data)])
    return result.exit_code, result.output


def test_an_original_is_shown_and_the_reading_recorded(data: Path) -> None:
    db, keys = Database(os.environ["CART_DATABASE_URL"]), read_keyring(data / "keys.json")
    with db.write() as session:
        raw = quarantine.keep_raw(session, keys, MESSAGE, "hl7v2:SIU^S12", "SCH-8.1: unknown", e.NOW, "t").quarantine_id
    waiting = receive(db, keys, e.collection("a-1", "ORD-9", "COI-9", "DIN-9"), e.NOW, "t").quarantine_id
    assert shown(data, raw) == (0, MESSAGE.replace("\r", "\n"))
    code, text = shown(data, str(waiting))
    assert (code, '"COI-9"' in text) == (0, True)
    assert shown(data, "qua_none")[0] == 1
    with db.read() as session:
        rows = session.exec(select(AuditEntry).where(AuditEntry.action == "read_original")).all()
    assert {(row.actor, row.target, row.outcome) for row in rows} == {
        ("integration", raw, "shown"),
        ("integration", waiting, "shown"),
        ("integration", "qua_none", "refused"),
    }
    db.close()
