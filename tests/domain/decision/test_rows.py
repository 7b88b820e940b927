"""The code and its rows know each other: every alert kind and window that is asked for exists, and none stands idle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from domain.events.cells import CustodyStep
from domain.rulebook import Rulebook
from domain.rulebook.rows import AlertKind, CustodyRule, Window

ROOT = Path(__file__).resolve().parents[3]
ROOMS = tuple(ROOT / room for room in ("domain", "activities", "store", "intake"))
SOURCES = [path for room in ROOMS for path in room.rglob("*.py") if "rulebook" not in path.parts]


def strings() -> set[str]:
    return {
        node.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def kinds_in_code() -> set[str]:
    """First string of every Finding, and the kind argument of every wait and alert requirement."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            position = {"Finding": 0, "Violation": 0, "wait": 1, "wait_until": 1, "from_alert": 1, "_asked": 1}.get(
                node.func.id
            )
            if position is None or len(node.args) <= position:
                continue
            first = node.args[position]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def test_every_kind_that_is_raised_has_a_row(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        assert kinds_in_code() - {row.kind for row in book.table(AlertKind)} == set()
    assert len(kinds_in_code()) > 30


def test_every_row_is_raised_somewhere(rules: Rulebook) -> None:
    assert {row.kind for row in rules.table(AlertKind)} - strings() == set()


def test_every_window_is_read_somewhere(rules: Rulebook) -> None:
    said = strings()
    keys = {row.key.split(".")[0] for row in rules.table(Window)}

    assert {key for key in keys if not any(key in text for text in said)} == set()


def test_every_hand_over_has_its_row_in_the_order_of_the_chain(rules: Rulebook) -> None:
    rows = sorted(rules.table(CustodyRule), key=lambda row: row.order)

    assert [row.step for row in rows] == [step.value for step in CustodyStep]


@pytest.mark.parametrize("table", [AlertKind, Window, CustodyRule])
def test_every_unconfirmed_row_says_what_is_in_doubt(
    rules: Rulebook, table: type[AlertKind | Window | CustodyRule]
) -> None:
    assert [row.id for row in rules.table(table) if row.status == "unconfirmed" and not row.doubt] == []
