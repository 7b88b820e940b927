"""`rules diff guide current`: every correction, with evidence and status, and no departure without one."""

from __future__ import annotations

import pytest

from domain.rulebook import Rulebook, load
from domain.rulebook.diff import Departure, corrections_cited, departures, unexplained

NUMBERS = [
    *(f"A{n}" for n in range(1, 4)),
    *(f"B{n}" for n in range(1, 22)),
    *(f"C{n}" for n in range(1, 13)),
    "D",
    "E",
    "F",
    "G",
    "H",
]
UNCONFIRMED = {"B9", "B10", "C2", "C3", "E"}


@pytest.fixture(scope="module")
def by_number(rules: Rulebook, guide_rules: Rulebook) -> dict[str, Departure]:
    return {each.correction.number: each for each in departures(guide_rules, rules)}


def test_every_correction_is_listed_once(
    by_number: dict[str, Departure], rules: Rulebook, guide_rules: Rulebook
) -> None:
    assert list(by_number) == NUMBERS
    assert len(departures(guide_rules, rules)) == len(NUMBERS)


def test_every_correction_has_evidence_and_rows_or_a_decision(by_number: dict[str, Departure]) -> None:
    for number, departure in by_number.items():
        assert departure.correction.evidence, number
        assert departure.current or departure.correction.decision, number


def test_general_knowledge_is_marked_as_unconfirmed(by_number: dict[str, Departure]) -> None:
    found = {number for number, each in by_number.items() if each.correction.status == "unconfirmed"}
    assert found == UNCONFIRMED
    assert {number for number, each in by_number.items() if each.correction.evidence == ("knowledge",)} <= UNCONFIRMED
    assert all(by_number[number].correction.doubt for number in UNCONFIRMED)


def test_no_row_differs_between_editions_without_a_correction(rules: Rulebook, guide_rules: Rulebook) -> None:
    assert [row.id for row in unexplained(guide_rules, rules)] == []


def test_a_difference_without_a_correction_is_found(rulebook_files: dict[str, str]) -> None:
    files = {
        **rulebook_files,
        "stray.toml": """
[[guidelines]]
id = "guidelines.stray"
edition = "guide"
product = "kymriah"
indication = "b_all"
title = "a stray row"
category = "none"
effective_from = 2020-01-01
source = ["G367"]
status = "guide"
refresh = "annual"
""",
    }
    assert [row.id for row in unexplained(load(files, "guide"), load(files, "current"))] == ["guidelines.stray"]


def test_the_rows_of_both_editions_are_side_by_side(by_number: dict[str, Departure]) -> None:
    dose = by_number["A1"]
    assert "regimens.tecartus_b_all.guide" in {row.id for row in dose.printed}
    assert "regimens.tecartus_b_all" in {row.id for row in dose.current}
    assert any(change.startswith("regimens.tecartus_b_all: doses:") for change in dose.changes)
    assert any("1 -> 50" in change for change in by_number["B7"].changes)
    assert any("XW033C3 -> XW033M7" in change for change in by_number["B5"].changes)


def test_every_correction_cited_by_a_row_exists(rules: Rulebook, guide_rules: Rulebook) -> None:
    cited = {
        n
        for book in (rules, guide_rules)
        for rows in book.rows.values()
        for row in rows
        for n in corrections_cited(row)
    }
    assert cited <= set(NUMBERS)
