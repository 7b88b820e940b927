"""The short form of `make chaos`: seeded faults at points of two stories, the seam itself, and a few on a running stack.

`make chaos` runs a thousand (docs/reliability.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import cases, kinds, lots, report, stack_lots
from tests.chaos.cases import Case, Stage, drawn, stages
from tests.chaos.installations import Embedded
from tests.chaos.kinds import KINDS
from tests.chaos.outcome import Filed, differences, doubled, filed
from tests.chaos.stack_kinds import STACK_KINDS
from tests.kit.files import DOCS

SEED = int(os.environ.get("CART_CHAOS_SEED", "1"))
SHORT = 9
"""Faults of each of two stories; eighteen with those on the stack make twenty."""
ON_STACK = (("killed", "worker"), ("write lock held", "database"))
STORIES = ("sent", "replaced")


@pytest.fixture(scope="module")
def ready() -> Iterator[dict[str, Stage]]:
    with stages(list(STORIES)) as made:
        yield made


@pytest.mark.parametrize("story", STORIES)
def test_seeded_faults_end_as_undisturbed(ready: dict[str, Stage], story: str) -> None:
    results = [ready[story].run(case) for case in drawn(ready[story], sorted(KINDS), SHORT, SEED)]
    wrong = [f"{one.case.command} ({one.label}): {one.wrong}" for one in results if one.wrong]
    assert wrong == []
    assert len({one.case.kind for one in results}) >= 8


def test_every_sort_of_point_is_seen_and_every_kind_has_a_place(ready: dict[str, Stage]) -> None:
    labels = [label for stage in ready.values() for label in stage.undisturbed.labels]
    assert {label.split("|")[1] for label in labels} == kinds.EVERYWHERE
    assert [kind.name for kind in KINDS.values() if not any(map(kind.fits, labels))] == []
    assert len(labels) > 1000


def test_a_claim_that_goes_out_twice_is_seen(ready: dict[str, Stage]) -> None:
    """The invariants find what they are there for."""
    stage = ready["sent"]
    end = stage.undisturbed.end
    other = {**end, "payers": [*end["payers"], end["payers"][0]], "delivered": [], "not written": 1}
    assert len(differences(end, other)) == 2 + len(end["delivered"])
    one = Filed("live/medicare", "EXMACJK", "000000001", "1", "CE1", "5", "11", "1", "", "M")
    again = Filed("live/uhc", "EXMACJK", "000000001", "1", "CE1", "5", "11", "1", "", "M")
    assert len(doubled([one, again])) == 2


def test_a_file_with_the_content_of_another_is_seen(ready: dict[str, Stage], tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "samples" / "denied.835.x12").read_text()
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "EXMACJK-000000009.x12").write_text(text)
    with pytest.raises(AssertionError, match="content of another file"):
        filed(tmp_path)
    (tmp_path / "live" / "EXMACJK-000000009.x12").write_text(text[:500])
    with pytest.raises(AssertionError, match="torn"):
        filed(tmp_path)


def test_a_fault_is_the_same_again(ready: dict[str, Stage]) -> None:
    stage = ready["sent"]
    assert drawn(stage, sorted(KINDS), 20, 5) == drawn(stage, sorted(KINDS), 20, 5)
    point = next(
        at for at, label in enumerate(stage.undisturbed.labels) if label.startswith("act transmit_claim|fsync|")
    )
    twice = [stage.run(Case("sent", "killed", point, 1)) for _ in range(2)]
    assert [(one.label, one.died, one.wrong) for one in twice] == [(twice[0].label, 1, [])] * 2


@pytest.mark.stack
def test_a_running_stack_under_two_faults_ends_as_undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [kind for kind in STACK_KINDS if (kind.name, kind.target) in ON_STACK]
    monkeypatch.setattr(stack_lots, "kinds_for", lambda on: chosen if isinstance(on, Embedded) else [])
    monkeypatch.setattr(stack_lots, "ALL_STORIES", ("paid",))
    monkeypatch.setattr(stack_lots, "STORIES_A_LOT", 1)
    rows = stack_lots.run_stack_lot(11, SEED, faults=2)
    assert [row["wrong"] for row in rows] == [[], []]


def test_the_report_names_every_kind() -> None:
    text = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert [kind.name for kind in KINDS.values() if kind.name not in text] == []
    assert [kind.name for kind in STACK_KINDS if kind.name not in text] == []
    assert f"SEED={lots.SEED}" in text
    assert report.HEAD.strip().splitlines()[0] in text


def test_lots_are_named_as_ranges() -> None:
    assert lots.lots_of("1-3,7") == [1, 2, 3, 7]
    assert sorted({story for lot in lots.IN_PROCESS for story in lots.stories_of(lot)}) == sorted(cases.STORIES)
