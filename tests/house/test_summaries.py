"""Every timer and every activity has a summary in the Temporal UI: no bare entry is in the timeline of a run."""

from __future__ import annotations

import ast

import pytest

from tests.house.sources import sources
from tests.house.test_rooms import ROOT

ACTIVITIES = {"execute_activity", "execute_local_activity", "start_activity", "start_local_activity"}


def bare(tree: ast.AST) -> list[int]:
    """Lines where an activity or a timer has no summary; `asyncio.sleep` cannot have one."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        given = {keyword.arg for keyword in node.keywords}
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        missing = (
            (node.func.attr in ACTIVITIES and "summary" not in given)
            or (node.func.attr == "wait_condition" and "timeout" in given and "timeout_summary" not in given)
            or (owner == "workflow" and node.func.attr == "sleep" and "summary" not in given)
            or (owner == "asyncio" and node.func.attr in ("sleep", "wait_for", "timeout"))
        )
        if missing:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sources("workflows"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_timer_and_activity_has_a_summary(path: object) -> None:
    assert bare(ast.parse(path.read_text())) == []  # type: ignore[attr-defined]


def test_a_bare_one_is_found() -> None:
    text = "workflow.execute_activity('a')\nworkflow.wait_condition(f, timeout=t)\nasyncio.sleep(1)\nworkflow.sleep(1)"
    assert bare(ast.parse(text)) == [1, 2, 3, 4]
