"""Taking encounters over from the command line, against a real gateway on a socket."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from app.cli.main import cli
from store.tables import AlertRecord, Inbox
from tests.kit.files import DOCS
from tests.kit.recorder import TOKEN, Recorder, recorder
from tests.kit.sockets import listening

EXAMPLE = DOCS / "cutover.example.csv"
ORDER = "ORDER-1001"
CUTOVER = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        (tmp_path / "token").write_text(TOKEN)
        yield made


def run(*args: str) -> Any:
    return CliRunner().invoke(cli, ["import", *args, "--zone", "America/New_York"])


def events(r: Recorder) -> int:
    with r.service.db.read() as session:
        return len(session.exec(select(Inbox.event_id)).all())


def test_a_dry_run_says_what_would_happen_and_needs_no_gateway() -> None:
    answer = run(str(EXAMPLE), "--dry-run")
    assert answer.exit_code == 0, answer.output
    for part in (
        "21 events, stage infusion",
        "Claim A/1: paid by another system, $4850.00; this system never sends it",
        "Claim B/1: waiting, $",
        "1 of 1 encounters would be sent",
    ):
        assert part in answer.output, part
    assert "SYNTHETIC" not in answer.output
    assert ORDER not in answer.output


async def test_an_import_opens_the_encounter_where_it_stands_and_asks_for_nothing_earlier(
    r: Recorder, tmp_path: Path
) -> None:
    with listening(r.api) as url:
        first = run(str(EXAMPLE), "--data-dir", str(tmp_path), "--url", url)
        assert first.exit_code == 0, first.output
        assert "21 events accepted, 0 duplicates, 0 not accepted" in first.output
        again = run(str(EXAMPLE), "--data-dir", str(tmp_path), "--url", url)
        assert again.exit_code == 0, again.output
        assert "0 events accepted, 21 duplicates" in again.output
    assert events(r) == 21
    encounter = (await r.http.get(f"/v1/encounters/{ORDER}")).json()["encounter_id"]
    r.decide(encounter, CUTOVER)
    shown = (await r.http.get(f"/v1/encounters/{encounter}")).json()
    assert shown["stage"] == "infusion"
    assert {gate["stage"] for gate in shown["gates"] if not gate["open"]} <= {"infusion", "monitoring"}
    assert [hold for hold in shown["holds"] if hold["gate"] != "infusion"] == []
    with r.service.db.read() as session:
        assert [a.kind for a in session.exec(select(AlertRecord)) if a.kind.endswith(("_overdue", "_missing"))] == []
    claims = (await r.http.get(f"/v1/encounters/{encounter}/claims")).json()
    assert [(one["letter"], one["ordinal"], one["number"]) for one in claims["elsewhere"]] == [("A", 1, "PB-2026-0517")]
    links = (await r.http.get(f"/v1/encounters/{encounter}/timeline")).json()["records"]
    assert {"taken_over"} == {link["step"] for link in links if "attested_by" not in link}
    assert all(link["attested_by"].startswith("staff_") for link in links if link["step"] != "taken_over")
    packet = (await r.http.get(f"/v1/encounters/{encounter}/packet?identity=withheld")).json()
    assert [(c["key"], c["elsewhere"], c["control_number"]) for c in packet["claims"]] == [("A/1", True, None)]
    assert {one["imported"] for one in packet["narrative"]} == {True, False}
    assert {link["attested_by"] is None for link in packet["custody"]["standing"]} == {True, False}


async def test_a_faulty_row_stops_its_encounter_alone_and_says_where(r: Recorder, tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    other = text.replace(ORDER, "ORDER-1002").replace("MRN-1001", "MRN-1002").replace("COI-A", "COI-B")
    other = other.replace("W000026A00001", "W000026B00001").replace("BAG-A", "BAG-B").replace("APH-A", "APH-B")
    (tmp_path / "both.csv").write_text(text + "\n".join(other.splitlines()[1:]).replace("dose,", "dosis,", 1) + "\n")
    with listening(r.api) as url:
        answer = run(str(tmp_path / "both.csv"), "--data-dir", str(tmp_path), "--url", url)
    assert answer.exit_code == 1
    assert "1 of 2 encounters read without an error" in answer.output
    assert "error: record: must be one of" in answer.output
    assert events(r) == 21


async def test_a_changed_row_is_a_conflict_and_names_its_row(r: Recorder, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / "rows.csv")
    with listening(r.api) as url:
        assert run(str(tmp_path / "rows.csv"), "--data-dir", str(tmp_path), "--url", url).exit_code == 0
        changed = EXAMPLE.read_text().replace("4850.00", "4851.00")
        (tmp_path / "rows.csv").write_text(changed)
        answer = run(str(tmp_path / "rows.csv"), "--data-dir", str(tmp_path), "--url", url)
    assert answer.exit_code == 1
    assert "rows.csv line 2: error: cart.encounter.imported: conflict" in answer.output
