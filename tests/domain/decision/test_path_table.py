"""Every cell of docs/paths.md is what the domain decides, and the table leaves no path and no stage out."""

from __future__ import annotations

import pytest

from tests.kit.files import DOCS
from tests.kit.paths import AT, TAKE, cell, decided

RUN = "run: python -m tests.kit.paths > docs/paths.md"
DOCUMENT = DOCS / "paths.md"


def written() -> dict[tuple[str, str], str]:
    """The table as it stands in the document."""
    rows = [line.strip().strip("|").split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    stages = [name.strip() for name in rows[0][1:]]
    return {
        (row[0].strip(), stage): text.strip() for row in rows[1:] for stage, text in zip(stages, row[1:], strict=True)
    }


TABLE = written()


def test_no_path_and_no_stage_is_left_out() -> None:
    assert set(TABLE) == {(path, stage) for path in TAKE for stage in AT}, RUN
    assert all(any(TABLE[path, stage] != "–" for stage in AT) for path in TAKE)


@pytest.mark.parametrize(("path", "stage"), sorted(TABLE))
def test_the_cell_is_what_is_decided(path: str, stage: str) -> None:
    assert cell(decided(path, stage)) == TABLE[path, stage], RUN
