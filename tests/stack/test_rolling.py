"""A rolling deployment, a rollback and the deployment again, under a steady feed: every encounter ends as undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.rolling import rehearse


@pytest.mark.postgres
def test_the_release_before_and_todays_code_side_by_side_end_like_one(tmp_path: Path) -> None:
    """`make rolling` does the same with 200 encounters in every stage."""
    report = rehearse(tmp_path, encounters=3, of_each=1, pace=0.1)
    print(report)
    assert report.replaced == 6
    assert sum(report.stages.values()) == 3, "every encounter is open when the first process is replaced"
