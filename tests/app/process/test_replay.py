"""`deploy replay`: the gate before a deploy names each run that this code cannot carry on, and shows no payload."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from app.process.connect import connect_temporal
from app.process.deployment import _replay, deploy_app, register
from app.settings import Settings
from tests.kit.files import ROOT
from tests.kit.keys import RECORDING_KEYS
from tests.kit.programs import connected
from tests.kit.waiting import eventually_async
from workflows.messages import EncounterStart
from workflows.names import ALERT_ESCALATION_ID, ALERT_ESCALATION_TYPE, ENCOUNTER_TYPE, TASK_QUEUE, WATCH_TYPE

HISTORIES = ROOT / "tests" / "replay" / "histories"
NAMES = ("encounter_undecided", "claim_life_paid", "desk_escalates")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The histories of the repository are encrypted with these."""
    monkeypatch.setattr("app.process.deployment.read_keyring", lambda _file: RECORDING_KEYS)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    for name in NAMES:
        shutil.copy(HISTORIES / f"{name}.json.gz", tmp_path)
    return tmp_path


def replay(*arguments: str) -> tuple[int, str, str]:
    shown = CliRunner().invoke(deploy_app, ["replay", *arguments])
    return shown.exit_code, shown.stdout, shown.stderr


def test_exported_histories_of_this_code_replay(exported: Path) -> None:
    assert replay("--from", str(exported)) == (0, f"{len(NAMES)} histories replayed, 0 failed\n", "")


def test_a_history_that_this_code_cannot_carry_on_is_named(exported: Path) -> None:
    text = gzip.decompress((exported / "encounter_undecided.json.gz").read_bytes()).decode()
    (exported / "broken.json").write_text(text.replace('"show_encounter"', '"hide_encounter"'))
    code, shown, errors = replay("--from", str(exported))
    assert code == 1
    assert shown.startswith("broken  CarTEncounter  NondeterminismError: ")
    assert shown.count("\n") == 1
    assert errors == f"{len(NAMES) + 1} histories replayed, 1 failed\n"


def test_what_is_no_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no file"):
        CliRunner().invoke(deploy_app, ["replay", "--from", str(tmp_path)], catch_exceptions=False)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(Exception, match=r"x\.json: not an exported history"):
        CliRunner().invoke(deploy_app, ["replay", "--from", str(tmp_path)], catch_exceptions=False)


async def test_open_and_closed_runs_of_the_namespace_are_replayed(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await register(await connected(server), "cart")
    settings = Settings(data_dir=tmp_path, temporal_address=server, temporal_namespace="cart")
    client = await connect_temporal(settings, RECORDING_KEYS)
    await client.start_workflow(
        ENCOUNTER_TYPE, EncounterStart(encounter="enc_x", noted=1), id="cart-encounter/enc_x", task_queue=TASK_QUEUE
    )
    await client.start_workflow(ALERT_ESCALATION_TYPE, id=ALERT_ESCALATION_ID, task_queue=TASK_QUEUE)
    closed = await client.start_workflow(WATCH_TYPE, id="ended", task_queue=TASK_QUEUE)
    await closed.terminate()
    await eventually_async(lambda: listed(client, 3), "all are listed")
    for query, count in (("", 3), ("WorkflowType = 'AlertDesk'", 1)):
        assert await _replay(settings, None, 7, 100, query) == 0
        assert capsys.readouterr().out == f"{count} histories replayed, 0 failed\n"


async def listed(client: Client, count: int, query: str = "") -> bool:
    return (await client.count_workflows(query)).count == count
