"""The quarterly payment limits: what the published table may look like, and what makes it unusable."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rulebook import Rulebook, load
from domain.rulebook.asp import NO_PRICE_BASIS, AspFileError, overlay, price_rows, quarter_of, read_table, wanted_codes
from domain.rulebook.rows import Payment

HEADER = ["HCPCS Code", "Short Description", "HCPCS Code Dosage", "Payment Limit", "Co-insurance Percentage", "Notes"]


def published(
    *lines: tuple[str, str], effective: str = "Effective July 1, 2026 through September 30, 2026"
) -> list[list[str]]:
    preamble = [
        ["Payment Allowance Limits for Medicare Part B Drugs"],
        ["", ""],
        [effective, ""],
        ["Note 1: words"],
        [],
    ]
    return [*preamble, HEADER, *[[code, "words", "1 MG", limit, "20.000", ""] for code, limit in lines]]


def test_the_published_layout_is_read(rules: Rulebook) -> None:
    table = read_table(published(("90371", "138.873"), ("Q2053", "$491,000.12"), ("J3262", " 5.9 ")))
    assert (table.quarter, table.first_day, table.last_day) == ("2026Q3", date(2026, 7, 1), date(2026, 9, 30))
    assert table.limits["Q2053"] == Decimal("491000.12")
    row = next(row for row in price_rows(table, rules) if row.code == "Q2053")
    assert (row.amount, row.basis, row.effective_to) == (Decimal("491000.12"), "ASP + 6 %", date(2026, 9, 30))
    assert row.average_sales_price == Decimal("463207.66")


def test_only_codes_the_rulebook_follows_become_rows(rules: Rulebook) -> None:
    table = read_table(published(("90371", "138.873"), ("Q2053", "490000")))
    codes = {row.code for row in price_rows(table, rules)}
    assert codes == set(wanted_codes(rules, table.first_day))
    assert "90371" not in codes


def test_a_quarter_without_a_price_is_legal_and_names_what_is_paid_instead(rules: Rulebook) -> None:
    for lines in ((("J3262", "5.9"),), (("J3262", "5.9"), ("Q2053", ""))):
        row = next(row for row in price_rows(read_table(published(*lines)), rules) if row.code == "Q2053")
        assert (row.amount, row.average_sales_price, row.basis) == (None, None, NO_PRICE_BASIS)
        assert "G400" in row.source


def test_the_overlay_loads_with_the_other_tables(rulebook_files: dict[str, str], rules: Rulebook) -> None:
    rows = price_rows(read_table(published(("Q2053", "490000"))), rules)
    both = load({**rulebook_files, "payments_asp_2026q3.toml": overlay(rows)})
    assert both.one(Payment, date(2026, 9, 30), kind="asp", code="Q2053") == next(r for r in rows if r.code == "Q2053")
    assert both.one(Payment, date(2026, 6, 30), kind="asp", code="Q2053").amount == Decimal("489290.601")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([["a", "b"], ["1", "2"]], "no header row"),
        (published(("Q2053", "1"), effective="Prices"), "do not state the effective dates"),
        (published(("Q2053", "1"), effective="Effective Smarch 1, 2026 through June 30, 2026"), "are not dates"),
        (
            published(("Q2053", "1"), effective="Effective April 1, 2026 through July 31, 2026"),
            "not one calendar quarter",
        ),
        (
            published(("Q2053", "1"), effective="Effective May 1, 2026 through June 30, 2026"),
            "not one calendar quarter",
        ),
        (published(), "no row with a HCPCS code"),
        (published(("Q2053", "490000"), ("J3262", "5"), ("Q2053", "490000")), "line 9: Q2053 is listed twice"),
        (published(("Q2053", "abc")), "line 7: the payment limit of Q2053"),
        (published(("Q2053", "-1")), "line 7: the payment limit of Q2053"),
        (published(("Q2053", "NaN")), "line 7: the payment limit of Q2053"),
        (published(("Q2053-7", "4")), "line 7: not a HCPCS code"),
    ],
)
def test_an_unreliable_file_is_refused_with_the_line(rows: list[list[str]], problem: str) -> None:
    with pytest.raises(AspFileError, match=problem):
        read_table(rows)


@pytest.mark.parametrize(
    ("limit", "refused"),
    [("587148.72", False), ("587148.73", True), ("391432.48", True), ("391432.49", False)],
)
def test_a_price_that_changed_by_more_than_the_share_is_held_for_review(
    limit: str, refused: bool, rules: Rulebook
) -> None:
    table = read_table(published(("Q2053", limit)))
    if not refused:
        assert price_rows(table, rules)
        return
    with pytest.raises(AspFileError, match="moved from"):
        price_rows(table, rules)
    assert price_rows(table, rules, Decimal("0.5"))


def test_a_quarter_on_record_is_not_written_twice(rules: Rulebook) -> None:
    second = "Effective April 1, 2026 through June 30, 2026"
    same = price_rows(read_table(published(("Q2053", "489290.601"), effective=second)), rules)
    assert "Q2053" not in {row.code for row in same}
    with pytest.raises(AspFileError, match=r"another price of 2026Q2 is on record as payments\.asp\.Q2053\.2026Q2"):
        price_rows(read_table(published(("Q2053", "489291"), effective=second)), rules)


@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
@settings(max_examples=60)
def test_every_day_is_in_exactly_one_quarter(day: date) -> None:
    first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    ends = [date(day.year, 3, 31), date(day.year, 6, 30), date(day.year, 9, 30), date(day.year, 12, 31)]
    last = next(end for end in ends if end >= day)
    assert quarter_of(first, last) == f"{day.year}Q{ends.index(last) + 1}"


def test_dates_that_end_a_day_early_are_not_a_quarter() -> None:
    with pytest.raises(AspFileError):
        quarter_of(date(2026, 10, 1), date(2026, 12, 30))
