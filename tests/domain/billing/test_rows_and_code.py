"""Rows and builders match: no look-up without a row, no edit row without a finding, no unused choice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date

import pytest

from domain.rulebook.rows import Code, EditRule, FormLocation, Policy
from tests.kit.files import ROOT
from tests.kit.rules import rulebook

ROOM = ROOT / "domain" / "billing"
TODAY = date(2026, 6, 15)
TREES = [ast.parse(path.read_text()) for path in sorted(ROOM.rglob("*.py"))]


def strings() -> set[str]:
    """Every text literal of the package."""
    return {
        n.value for tree in TREES for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def arguments(*methods: str) -> Iterator[str]:
    """First literal arguments of calls to the methods."""
    for tree in TREES:
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in methods
                and node.args
            ):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_role_that_is_asked_for_has_a_code() -> None:
    roles = {row.role for row in rulebook().table(Code)}
    asked = set(arguments("code", "codes"))
    assert len(asked) > 15
    assert asked <= roles


@pytest.mark.parametrize("edition", ["current", "guide"])
def test_every_policy_that_is_asked_for_has_an_answer_for_every_payer(edition: str) -> None:
    rules = rulebook(edition)  # type: ignore[arg-type]
    for key in set(arguments("policy")):
        assert rules.one(Policy, TODAY, key=key, payer="any_payer", payer_class="commercial", mac="").value, key


def test_every_policy_is_read_by_a_builder() -> None:
    printed = {row.key for row in rulebook("guide").table(Policy) if row.key.startswith("printed_units_")}
    assert {row.key for row in rulebook().table(Policy)} - printed <= strings()


def test_every_finding_has_a_row_and_every_row_a_finding() -> None:
    rows = {row.edit for row in rulebook().table(EditRule)}
    found = set(arguments("found"))
    assert found <= rows
    documents = {edit for edit in rows if edit.startswith("paper_")}
    assert rows - documents <= found | strings()


def test_every_field_that_is_placed_has_a_place_on_its_form() -> None:
    places = {row.value for row in rulebook().table(FormLocation)}
    assert set(arguments("location")) <= places
