"""`cart-encounter verify` and `export`: no single change of an exported timeline stays unseen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.custody_file import EntryLine, LinkLine, write_lines
from app.cli.main import cli
from app.cli.verify import verify_file
from app.settings import Settings
from domain.custody.entries import CustodyEntry
from domain.custody.ledger import GENESIS, entry_hash, link_hash
from store.chain import append_custody
from store.engine import Database
from store.identifiers import alias_key
from store.keys import create_keyring
from store.tables import Alias, Encounter
from tests.kit.databases import migrated_database
from tests.kit.keys import RECORDING_KEYS

AT = datetime(2026, 6, 1, 9, tzinfo=UTC)


def exported(lengths: dict[str, int]) -> list[str]:
    """The lines of an export: chains of these lengths, each indexed twice as it grew."""
    links: list[LinkLine] = []
    entries: list[EntryLine] = []
    for name, length in lengths.items():
        previous = GENESIS
        for position in range(1, length + 1):
            link = LinkLine(
                encounter_id=name,
                position=position,
                key=f"ev{position}",
                kind="record",
                occurred=AT + timedelta(minutes=position),
                recorded_at=AT + timedelta(hours=position),
                content=f'{{"step":"stored","location":"tank {position}"}}',
                previous_hash=previous,
                hash="",
            )
            link.hash = previous = link_hash(link)
            links.append(link)
            if position in (1, length):
                entries.append(_entry(entries, link))
    return list(write_lines(RECORDING_KEYS, links, entries, None, AT))


def _entry(entries: list[EntryLine], last: LinkLine) -> EntryLine:
    entry = EntryLine(
        position=len(entries) + 1,
        encounter_id=last.encounter_id,
        length=last.position,
        head=last.hash,
        recorded_at=AT,
        previous_hash=entries[-1].hash if entries else GENESIS,
        hash="",
    )
    return entry.model_copy(update={"hash": entry_hash(entry)})


LINES = exported({"enc_a": 4, "enc_b": 1, "enc_c": 1, "enc_d": 3})
RECORDS = range(1, len(LINES))


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """Whether a file of these lines is found intact."""
    path, settings = tmp_path / "export.jsonl", Settings(data_dir=tmp_path / "nowhere")

    def verified(lines: list[str]) -> bool:
        path.write_text("\n".join(lines))
        return verify_file(settings, path, None) == 0

    return verified


def edits() -> Iterator[tuple[int, str]]:
    """Every member of every line, changed."""
    for at in RECORDS:
        name, body = next(iter(json.loads(LINES[at]).items()))
        for member, value in body.items():
            changed = value + 1 if isinstance(value, int) else _another(member, value)
            yield at, json.dumps({name: {**body, member: changed}})


def _another(member: str, value: str) -> str:
    if member in ("occurred", "recorded_at"):
        return value.replace("2026", "2025")
    return value + "x" if member != "content" else value.replace("tank", "bench")


def test_an_untouched_export_is_intact(check: Any) -> None:
    assert check(LINES)


def test_every_edit_of_every_member_of_every_record_is_found(check: Any) -> None:
    tried = list(edits())
    assert len(tried) == 9 * 9 + 7 * 6
    assert not [line for at, line in tried if check([*LINES[:at], line, *LINES[at + 1 :]])]


def test_every_deletion_is_found(check: Any) -> None:
    assert not [at for at in RECORDS if check([*LINES[:at], *LINES[at + 1 :]])]


def test_every_insertion_is_found_copied_or_forged(check: Any) -> None:
    forged = json.loads(LINES[1])["record"] | {"key": "ev9", "content": "{}", "position": 2, "previous_hash": "1" * 64}
    forged["hash"] = link_hash(LinkLine.model_validate_json(json.dumps(forged)))
    for line in (LINES[1], LINES[-1], json.dumps({"record": forged})):
        assert not [at for at in RECORDS if check([*LINES[:at], line, *LINES[at:]])]


def test_every_swap_is_found(check: Any) -> None:
    def swapped(one: int, two: int) -> list[str]:
        lines = list(LINES)
        lines[one], lines[two] = lines[two], lines[one]
        return lines

    assert not [pair for pair in combinations(RECORDS, 2) if check(swapped(*pair))]


def test_a_removed_encounter_is_found_with_its_index_or_without(check: Any) -> None:
    for name in ("enc_a", "enc_b", "enc_d"):
        assert not check([line for line in LINES if name not in line or '"index"' in line])
        assert not check([line for line in LINES if name not in line])


def test_ten_thousand_records_are_intact(check: Any) -> None:
    assert check(exported({f"enc_{n:03d}": 100 for n in range(100)}))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with two encounters, one of them known by an order number."""
    keys = create_keyring(tmp_path / "keys.json")
    db = migrated_database(tmp_path / "encounters.db")
    monkeypatch.setenv("CART_DATABASE_URL", db.url)
    with db.write() as session:
        for name in ("enc_a", "enc_b"):
            session.add(Encounter(encounter_id=name, created_at=AT))
            session.flush()
            entries = [CustodyEntry(f"{name}{n}", AT + timedelta(hours=n), {"step": "stored"}) for n in range(3)]
            append_custody(session, keys, name, entries, AT)
        key = alias_key(keys, "ORDER-7")
        session.add(Alias(alias_key=key, encounter_id="enc_a", kind="order", value=b""))
    db.close()
    return tmp_path


def run(store: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "--data-dir", str(store)])


def tamper(statement: str) -> None:
    db = Database(os.environ["CART_DATABASE_URL"])
    with db.write() as session:
        session.connection().exec_driver_sql(statement)
    db.close()


def test_the_store_is_checked_by_id_order_number_or_whole(store: Path) -> None:
    whole = run(store, "verify")
    assert whole.exit_code == 0
    assert "enc_a: 3 records, intact" in whole.output
    assert "index: 2 entries, intact, head " in whole.output
    one = run(store, "verify", "ORDER-7")
    assert (one.exit_code, "enc_a: 3 records, intact" in one.output, "enc_b" in one.output) == (0, True, False)
    assert run(store, "verify", "ORDER-8").exit_code == 1


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE custody_records SET content='{}' WHERE encounter_id='enc_b' AND position=2", "position 2 (enc_b1)"),
        ("UPDATE custody_records SET kind='correction' WHERE encounter_id='enc_b' AND position=3", "position 3"),
        ("UPDATE custody_records SET recorded_at='2020-01-01' WHERE encounter_id='enc_b' AND position=1", "position 1"),
        ("DELETE FROM custody_records WHERE encounter_id='enc_b' AND position=3", "the last records are missing"),
        ("DELETE FROM custody_records WHERE encounter_id='enc_b'", "every record of the encounter is missing"),
        ("DELETE FROM custody_index WHERE position=1", "index: 1 entries, first broken entry at position 1"),
    ],
)
def test_the_first_broken_record_is_named(store: Path, statement: str, message: str) -> None:
    tamper(statement)
    found = run(store, "verify")
    assert found.exit_code == 1
    assert message in found.output


def test_a_head_noted_earlier_shows_that_the_newest_encounter_was_removed(store: Path) -> None:
    head = next(line for line in run(store, "verify").output.splitlines() if line.startswith("index")).split()[-1]
    assert run(store, "verify", "--since", head).exit_code == 0
    tamper("DELETE FROM custody_records WHERE encounter_id='enc_b'")
    tamper("DELETE FROM custody_index WHERE encounter_id='enc_b'")
    assert run(store, "verify").exit_code == 0, "hashes alone cannot show it"
    assert run(store, "verify", "--since", head).exit_code == 1


def test_an_export_is_checked_without_the_database_and_its_seal_with_the_key(store: Path, tmp_path: Path) -> None:
    file, one = tmp_path / "all.jsonl", tmp_path / "one.jsonl"
    assert run(store, "export", str(file)).exit_code == 0
    assert run(store, "export", str(one), "ORDER-7").exit_code == 0
    assert run(store, "export", str(file)).exit_code == 2, "never over a file that is there"
    (store / "encounters.db").unlink(missing_ok=True)
    assert "seal intact" in run(store, "verify", "--export", str(file)).output
    checked = run(store, "verify", "--export", str(one))
    assert (checked.exit_code, "enc_b" in checked.output) == (0, False)
    resealed = file.read_text().replace('"exported_at":"20', '"exported_at":"19', 1)
    file.write_text(resealed)
    refused = run(store, "verify", "--export", str(file))
    assert (refused.exit_code, "the seal is from another" in refused.output) == (1, True)
    (store / "keys.json").unlink()
    assert "seal not checked" in run(store, "verify", "--export", str(one)).output


def test_what_is_no_export_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("\n".join([LINES[0], "{"]))
    found = run(tmp_path, "verify", "--export", str(file))
    assert (found.exit_code, "line 2: not JSON" in found.output) == (1, True)
    assert run(tmp_path, "verify", "--export", str(tmp_path / "none")).exit_code == 2
