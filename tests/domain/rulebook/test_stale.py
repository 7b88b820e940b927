"""`rules stale`: what is past its cadence on a day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rulebook import Rulebook, load
from domain.rulebook.rows import Cadence
from domain.rulebook.stale import MONTHS, review_due, stale

ROW = """
[[windows]]
id = "windows.{name}"
key = "k"
days = 1
title = "a span"
effective_from = {start}
{end}
source = ["G1"]
status = "guide"
refresh = "{refresh}"
reviewed = {reviewed}
"""


def book_of(
    refresh: str = "quarterly",
    reviewed: date = date(2026, 5, 22),
    name: str = "a",
    start: date = date(2020, 1, 1),
    end: date | None = None,
) -> str:
    ends = f"effective_to = {end}" if end else ""
    return ROW.format(name=name, refresh=refresh, reviewed=reviewed, start=start, end=ends)


@pytest.mark.parametrize(
    ("refresh", "last_fresh_day"),
    [("quarterly", date(2026, 8, 22)), ("semi-annual", date(2026, 11, 22)), ("annual", date(2027, 5, 22))],
)
def test_a_row_is_fresh_through_the_day_its_review_is_due(refresh: str, last_fresh_day: date) -> None:
    book = load({"a.toml": book_of(refresh)})
    assert stale(book, last_fresh_day) == ()
    assert [late.row.id for late in stale(book, last_fresh_day + timedelta(days=1))] == ["windows.a"]


@pytest.mark.parametrize("refresh", ["event-driven", "fixed"])
def test_a_row_without_a_cadence_of_days_is_never_stale(refresh: str) -> None:
    assert stale(load({"a.toml": book_of(refresh)}), date(2099, 1, 1)) == ()


def test_three_months_after_the_end_of_november_is_the_end_of_february() -> None:
    row = load({"a.toml": book_of(reviewed=date(2026, 11, 30))}).by_id("windows.a")
    assert review_due(row) == date(2027, 2, 28)


@given(reviewed=st.dates(date(2020, 1, 1), date(2040, 1, 1)), refresh=st.sampled_from(sorted(MONTHS)))
@settings(max_examples=60)
def test_the_review_is_due_in_the_right_month_on_the_same_day_or_its_last(reviewed: date, refresh: Cadence) -> None:
    due = review_due(load({"a.toml": book_of(refresh, reviewed)}).by_id("windows.a"))
    assert due is not None
    assert (due.year - reviewed.year) * 12 + due.month - reviewed.month == MONTHS[refresh]
    assert due.day == reviewed.day or (due.day < reviewed.day and (due + timedelta(days=1)).day == 1)


def test_a_row_that_ended_without_a_successor_is_stale_at_once() -> None:
    book = load({"a.toml": book_of(end=date(2026, 6, 30))})
    assert stale(book, date(2026, 7, 1)) == ()
    late = stale(book, date(2026, 7, 2))
    assert [(each.row.id, each.due, each.ran_out) for each in late] == [("windows.a", date(2026, 7, 1), True)]


def test_a_row_that_was_replaced_or_ended_before_its_review_is_never_stale() -> None:
    followed = book_of(end=date(2026, 6, 30)) + book_of("fixed", name="b", start=date(2026, 7, 1))
    assert stale(load({"a.toml": followed}), date(2027, 1, 1)) == ()
    settled = book_of(end=date(2024, 12, 31))
    assert stale(load({"a.toml": settled}), date(2027, 1, 1)) == ()


def test_the_price_of_a_past_quarter_is_first_in_the_list(rules: Rulebook) -> None:
    late = stale(rules, date(2027, 1, 15))
    assert late[0].row.id == "payments.asp.Q2053.2026Q2"
    assert late[0].ran_out
    assert "import it" in late[0].trigger
    assert {each.row.table for each in late} >= {"payers", "eligibility", "site_of_care", "payments"}
    assert stale(rules, date(2026, 5, 23)) == ()
