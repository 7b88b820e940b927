"""Every recorded history replays on the code of today.

A history is recorded by running the workflow tests with `--record-histories`; one per path. When this test fails, the
workflow's commands changed: register the change (`workflows.changes`), do not record again.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from app.process.payload_encryption import data_converter
from tests.kit.keys import RECORDING_KEYS
from tests.kit.path_feeds import HISTORY, slug
from tests.kit.paths import TAKE
from tests.kit.replays import RELEASES, opened, replayed_on
from workflows.alert_escalation import AlertEscalation
from workflows.claim import ClaimLifecycle
from workflows.encounter import CarTEncounter

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json.gz"))


def text_of(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def replayer() -> Replayer:
    return Replayer(
        workflows=[CarTEncounter, ClaimLifecycle, AlertEscalation], data_converter=data_converter(RECORDING_KEYS)
    )


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.name.split(".")[0])
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(WorkflowHistory.from_json(f"replay/{path.name}", text_of(path)))


async def test_a_changed_workflow_would_be_noticed() -> None:
    """The newest activity of a history under another name must not replay: the test above can fail."""
    text = text_of(next(path for path in HISTORIES if path.name.startswith("encounter_")))
    assert '"show_encounter"' in text
    changed = WorkflowHistory.from_json("replay/changed", text.replace('"show_encounter"', '"hide_encounter"'))
    with pytest.raises(Exception, match=r"[Nn]on.?determinis"):
        await replayer().replay_workflow(changed)


def test_every_path_has_its_history() -> None:
    kept = {path.name.split(".")[0] for path in HISTORIES}
    assert {f"{HISTORY}{slug(path)}" for path in TAKE} <= kept
    assert len(kept) > len(TAKE)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_every_recorded_history_replays_on_the_code_of_an_earlier_release(release: Path, tmp_path: Path) -> None:
    """A release can be taken back: what it wrote, the code of the release before carries on."""
    histories = {path.name.split(".")[0]: WorkflowHistory.from_json("replay", text_of(path)) for path in HISTORIES}
    assert "encounter_undecided" in histories
    texts = {name: opened(history, RECORDING_KEYS) for name, history in histories.items()}
    changed = texts["encounter_undecided"].replace('"raise_alerts"', '"lower_alerts"')
    failures = replayed_on(release, [*texts.items(), ("changed", changed)], tmp_path)
    assert set(failures) == {"changed"}
    assert "determinis" in failures["changed"].lower()
