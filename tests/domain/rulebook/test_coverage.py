"""Every line of the guide has a rule, a decision, or a reason to be passed over; every rule it names exists."""

from __future__ import annotations

from pathlib import Path

import pytest

import domain.rulebook
from domain.rulebook import Rulebook, RulebookError
from domain.rulebook.coverage import Coverage, beyond_the_guide, gaps, numbers, read_coverage

LINES_OF_THE_GUIDE = 575
TABLE_ROWS_AND_ITEMS = [
    *range(74, 81),
    *range(113, 117),
    123,
    124,
    176,
    *range(186, 189),
    *range(205, 209),
    *range(213, 217),
    *range(221, 226),
    *range(259, 270),
    *range(274, 277),
    *range(284, 291),
    *range(311, 315),
    *range(319, 324),
    *range(328, 337),
    *range(341, 345),
    354,
    357,
    360,
    363,
    *range(371, 382),
    *range(408, 411),
    *range(422, 426),
    *range(432, 444),
    *range(550, 557),
]
"""Lines that are rows of a table or items of a list: they must be covered, never passed over."""


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    return read_coverage((Path(domain.rulebook.__file__).parent / "coverage.toml").read_text(encoding="utf-8"))


def test_the_coverage_is_complete(coverage: Coverage, rules: Rulebook, guide_rules: Rulebook) -> None:
    found = gaps(coverage, (rules, guide_rules))
    assert found.complete, found
    assert coverage.total == LINES_OF_THE_GUIDE


def test_no_row_of_a_table_or_item_of_a_list_is_passed_over(coverage: Coverage) -> None:
    covered = {number for cover in coverage.covers for number in numbers(cover.lines)}
    assert sorted(set(TABLE_ROWS_AND_ITEMS) - covered) == []


def test_only_blank_lines_headings_and_navigation_are_passed_over(coverage: Coverage) -> None:
    reasons = {passed.why: len(list(numbers(passed.lines))) for passed in coverage.passed}
    assert sum(number for why, number in reasons.items() if why != "blank") < 30
    assert reasons["blank"] < 200


@pytest.mark.parametrize(
    ("change", "gap", "value"),
    [
        ({"covers": ()}, "uncovered", 1),
        ({"total": 4}, "uncovered", 4),
        ({"total": 2}, "outside", 3),
        ({"passed": ({"lines": "1 3", "why": "blank"},)}, "passed_and_covered", 1),
        (
            {"covers": ({"lines": "1-2", "says": "x", "rules": ("products.no_such",)},)},
            "unknown_rules",
            "products.no_such",
        ),
        ({"covers": ({"lines": "1-2", "says": "x"},)}, "unanswered", "1-2"),
    ],
)
def test_each_kind_of_gap_is_found(change: dict[str, object], gap: str, value: object, rules: Rulebook) -> None:
    sound = {
        "total": 3,
        "covers": ({"lines": "1-2", "says": "the product", "rules": ("products.tecartus",)},),
        "passed": ({"lines": "3", "why": "blank"},),
    }
    assert gaps(Coverage.model_validate(sound), (rules,)).complete
    found = gaps(Coverage.model_validate({**sound, **change}), (rules,))
    assert value in getattr(found, gap)
    assert not found.complete


@pytest.mark.parametrize("lines", ["x", "3-2", "1-", "1-x", "1,2"])
def test_an_invalid_range_is_refused(lines: str) -> None:
    with pytest.raises(RulebookError, match="not a line or a rising range"):
        list(numbers(lines))


def test_an_invalid_file_is_refused() -> None:
    with pytest.raises(RulebookError, match=r"coverage\.toml"):
        read_coverage("total = 0\ncovers = []\npassed = []")
    with pytest.raises(RulebookError, match=r"coverage\.toml"):
        read_coverage("total = ")


def test_every_line_that_a_row_cites_is_in_the_guide(rules: Rulebook, guide_rules: Rulebook) -> None:
    outside = [
        row.id
        for book in (rules, guide_rules)
        for rows in book.rows.values()
        for row in rows
        for source in row.source
        if source.startswith("G")
        for number in numbers(source[1:])
        if not 1 <= number <= LINES_OF_THE_GUIDE
    ]
    assert outside == []


def test_rows_beyond_the_guide_have_another_source(coverage: Coverage, rules: Rulebook, guide_rules: Rulebook) -> None:
    beyond = beyond_the_guide(coverage, (rules, guide_rules))
    named = {rule for cover in coverage.covers for rule in cover.rules}
    assert not {row.id for row in beyond} & named
    assert rules.by_id("corrections.B9") in beyond
