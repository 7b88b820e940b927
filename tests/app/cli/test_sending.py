"""Sending by the command line: feeds of several patients, files of payers' answers, and erasing by an order number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from app.api.access import Access
from app.cli.main import cli
from app.cli.worklists import reply_lines
from app.process.gateway import create_gateway
from app.process.installation import install
from app.settings import Settings
from store.keys import read_keyring
from store.tables import Encounter
from tests.kit.databases import migrated_database
from tests.kit.sockets import listening

FEED = "tests/scenarios/a_mcl_medicare_inpatient.json"


@pytest.fixture
def sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    install(Settings(data_dir=tmp_path))
    db = migrated_database(tmp_path / "encounters.db")
    monkeypatch.setenv("CART_DATABASE_URL", db.url)
    keys = read_keyring(tmp_path / "keys.json")
    api = create_gateway(db=db, keys=keys, access=Access.from_token_file(tmp_path / "token"))
    with listening(api) as url:

        def run(*words: str) -> str:
            where = [] if words[0] == "vault" else ["--url", url]
            result = CliRunner().invoke(cli, [*words, *where, "--data-dir", str(tmp_path)])
            return result.output if result.exit_code == 0 else f"exit {result.exit_code}: {result.output}"

        yield db, run
    db.close()


def dispositions(text: str) -> set[str]:
    return {receipt["disposition"] for receipt in json.loads(text)["receipts"]}


def test_a_feed_is_sent_for_one_patient_and_then_for_another(sending) -> None:  # type: ignore[no-untyped-def]
    db, run = sending
    first = ("feed", FEED, "--anchor", "2026-06-01", "--subject", "ORDER-7")
    assert dispositions(run(*first)) == {"accepted"}
    assert dispositions(run(*first)) == {"duplicate"}
    second = ("feed", FEED, "--anchor", "2026-06-01", "--subject", "ORDER-8", "--run", "2")
    assert dispositions(run(*second)) == {"accepted"}
    assert dispositions(run(*second)) == {"duplicate"}
    with db.read() as session:
        encounters = session.exec(select(Encounter)).all()
    assert len(encounters) == 2


def test_payer_responses_are_printed_as_text_or_json() -> None:
    answer = json.loads(Path("docs/contract/answers/replies.example.json").read_text())
    receipt = answer["receipts"][0]
    unmatched = receipt | {
        "disposition": "quarantined",
        "encounter_id": None,
        "quarantine_id": "qua_1",
        "reasons": ["?"],
    }
    lines = list(reply_lines("remit.835", answer | {"receipts": [receipt, unmatched], "passed_over": 3}))
    assert lines[0] == "remit.835: 2 responses to our claims, 3 to claims of other systems"
    assert lines[1].split() == ["imported", receipt["encounter_id"]]
    assert lines[2:] == ["  quarantined no encounter  in quarantine as qua_1", "    ?"]


def test_a_patient_is_erased_by_any_identifier_of_the_encounter(sending) -> None:  # type: ignore[no-untyped-def]
    db, run = sending
    run("feed", FEED, "--anchor", "2026-06-01", "--subject", "ORDER-7")
    assert run("vault", "erase", "ORDER-7", "--by", "privacy").startswith("exit 1")
    with db.write() as session:
        row = session.exec(select(Encounter)).one()
        row.status = "closed"
        encounter = row.encounter_id
    assert run("vault", "erase", "ORDER-7", "--by", "privacy") == f"erased in {encounter}\n"
    assert run("vault", "erase", "ORDER-7", "--by", "privacy").startswith("exit 1")
    assert run("vault", "erase", encounter, "--by", "privacy") == f"erased in {encounter}\n"
