"""A change of a workflow's commands takes two releases: no workflow patches by itself; the release before reads every mark."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest

from tests.house.sources import sources
from tests.kit.files import ROOT
from workflows.changes import CHANGES, is_written


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


PATCHES = {"patched", "deprecate_patch"}
REGISTRY = "changes.py"
RELEASES = sorted((ROOT / "tests" / "replay" / "releases").glob("*.zip"), key=lambda path: _version(path.stem))


def patches(tree: ast.AST) -> list[int]:
    """Lines that patch: by call, by import, or by name."""
    found = []
    for node in ast.walk(tree):
        named = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        imported = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        if named in PATCHES or PATCHES & set(imported):
            found.append(node.lineno)  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("path", sources("workflows"), ids=lambda path: path.name)
def test_a_workflow_asks_the_registry(path: Path) -> None:
    if path.name != REGISTRY:
        assert patches(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_check_sees_a_patch() -> None:
    for text in ("workflow.patched('x')", "from temporalio.workflow import patched", "w.deprecate_patch('x')"):
        assert patches(ast.parse(text)) == [1]


def test_every_mark_that_is_written_is_read_by_the_release_before() -> None:
    released = RELEASES[-1]
    with zipfile.ZipFile(released) as code:
        text = "".join(code.read(name).decode() for name in code.namelist() if name.endswith(".py"))
    for change in CHANGES:
        assert change.writes is None or change.name in text, f"{change.name}: {released.stem} does not read it"
        if change.writes:
            assert _version(change.reads) <= _version(released.stem)


def test_names_are_unique_and_no_numbered_one_swallows_another() -> None:
    names = [change.name for change in CHANGES]
    assert len(set(names)) == len(names)
    for change in CHANGES:
        mark = f"{change.name}-7" if change.numbered else change.name
        assert is_written(mark) is (change.writes is not None)
    with pytest.raises(KeyError):
        is_written("not-registered")
