"""Look-ups: by day, the most exact row first, never a silent fallback."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.rulebook import AmbiguousRule, NoRule, Rulebook, RulebookError, load
from domain.rulebook.rows import TABLES, Certification, Code, Payment, Policy, Product, Regimen, Window

WINDOW = """
[[windows]]
id = "windows.{name}"
key = "{key}"
days = {days}
title = "a span"
effective_from = {start}
{end}
source = ["G1"]
status = "guide"
refresh = "fixed"
"""


def window(name: str = "one", key: str = "k", days: int = 1, start: str = "2024-01-01", end: str = "") -> str:
    return WINDOW.format(name=name, key=key, days=days, start=start, end=f"effective_to = {end}" if end else "")


def test_a_row_applies_on_its_first_and_last_day_and_not_before_or_after(rules: Rulebook) -> None:
    row = rules.by_id("payments.asp.Q2053.2026Q2")
    first, last = row.effective_from, row.effective_to
    assert last is not None
    assert row.holds_on(first)
    assert row.holds_on(last)
    assert not row.holds_on(first - timedelta(days=1))
    assert not row.holds_on(last + timedelta(days=1))


@given(start=st.dates(date(2018, 1, 1), date(2030, 1, 1)), length=st.integers(0, 800), away=st.integers(-900, 900))
@settings(max_examples=80)
def test_validity_includes_both_ends_across_months_and_leap_days(start: date, length: int, away: int) -> None:
    end, day = start + timedelta(days=length), start + timedelta(days=away)
    row = load({"a.toml": window(start=start.isoformat(), end=end.isoformat())}).by_id("windows.one")
    assert row.holds_on(day) == (0 <= away <= length)


def test_no_row_for_the_day_is_an_error_that_names_code_date_and_table(rules: Rulebook) -> None:
    with pytest.raises(NoRule) as raised:
        rules.one(Payment, date(2026, 7, 1), kind="asp", code="Q2053")
    assert str(raised.value) == "no row of payments for code=Q2053, kind=asp on 2026-07-01"
    assert rules.maybe(Payment, date(2026, 7, 1), kind="asp", code="Q2053") is None


def test_a_code_that_ended_is_not_used_after_its_last_day(rules: Rulebook) -> None:
    def administration(day: date) -> str:
        return rules.one(Code, day, role="cell_administration", product="tecartus", setting="outpatient").code

    assert administration(date(2024, 12, 31)) == "0540T"
    assert administration(date(2025, 1, 1)) == "38228"


def test_two_equally_exact_rows_are_ambiguous_and_neither_is_used() -> None:
    text = window("a", key="x") + window("b", key="y")
    book = load({"a.toml": text})
    with pytest.raises(AmbiguousRule, match=r"windows\.a and windows\.b"):
        book.one(Window, date(2025, 1, 1))
    assert book.one(Window, date(2025, 1, 1), key="y").id == "windows.b"


def test_the_more_exact_row_has_priority(rules: Rulebook) -> None:
    asked = {"layer": "rems_facility", "product": "tecartus", "indication": "mcl"}
    day = date(2026, 1, 5)
    medicare = rules.one(Certification, day, **asked, payer="medicare", payer_class="medicare_ffs")
    insurer = rules.one(Certification, day, **asked, payer="uhc", payer_class="commercial")
    assert (medicare.enforcement, insurer.enforcement) == ("warn", "hold")


def test_rows_of_one_key_must_not_overlap() -> None:
    meet = window("a", end="2024-06-30") + window("b", start="2024-06-30")
    with pytest.raises(AmbiguousRule, match="hold on the same days"):
        load({"a.toml": meet})
    follow = window("a", end="2024-06-30") + window("b", start="2024-07-01")
    assert len(load({"a.toml": follow}).rows["windows"]) == 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[windows]", "not TOML"),
        ("[[wonders]]\nid = 'x'", "unknown table wonders"),
        (window().replace('key = "k"', ""), "windows.one: key"),
        (window() + "\ncolour = 'red'", "windows.one: colour"),
        (window(end="2023-01-01"), "effective_to is before effective_from"),
        (window("a") + window("a", key="z"), "row id windows.a is used twice"),
        (window().replace('source = ["G1"]', "source = []"), "windows.one: source"),
    ],
)
def test_an_invalid_file_is_refused_with_file_row_and_field(text: str, named: str) -> None:
    with pytest.raises(RulebookError, match=named.replace("[", r"\[")):
        load({"bad.toml": text})


def test_the_digest_does_not_depend_on_the_layout_of_files(rulebook_files: dict[str, str], rules: Rulebook) -> None:
    one_file = "\n".join(text for _, text in sorted(rulebook_files.items(), reverse=True))
    assert load({"all.toml": f"# a comment\n{one_file}\n"}).digest == rules.digest


def test_the_digest_changes_with_any_row_of_its_edition(rulebook_files: dict[str, str], rules: Rulebook) -> None:
    changed = dict(rulebook_files)
    changed["payments.toml"] = changed["payments.toml"].replace('amount = "489290.601"', 'amount = "489290.602"')
    assert changed != rulebook_files
    assert load(changed).digest != rules.digest
    fewer = {name: text for name, text in rulebook_files.items() if name != "assistance.toml"}
    assert load(fewer).digest != rules.digest


def test_every_table_is_filled_in_both_editions(rules: Rulebook, guide_rules: Rulebook) -> None:
    for book in (rules, guide_rules):
        assert [kind.table for kind in TABLES if not book.rows[kind.table]] == []


def test_the_editions_differ_where_the_guide_is_wrong(rules: Rulebook, guide_rules: Rulebook) -> None:
    day = date(2026, 3, 1)

    def days_of(book: Rulebook) -> tuple[int, ...]:
        doses = book.one(Regimen, day, key="tecartus_b_all").doses
        return next(dose.days for dose in doses if dose.drug == "cyclophosphamide")

    assert days_of(guide_rules) == (-4, -3, -2)
    assert days_of(rules) == (-2,)
    assert guide_rules.one(Product, day, key="tecartus").ndc_prefixes == ("71287-129",)
    assert "71287-219" in rules.one(Product, day, key="tecartus").ndc_prefixes
    assert guide_rules.maybe(Product, day, key="aucatzyl") is None
    assert rules.one(Product, day, key="aucatzyl").hcpcs == "Q2058"


def test_an_unconfirmed_row_states_its_doubt(rules: Rulebook, guide_rules: Rulebook) -> None:
    silent = [
        row.id
        for book in (rules, guide_rules)
        for rows in book.rows.values()
        for row in rows
        if row.status == "unconfirmed" and not row.doubt
    ]
    assert silent == []


def test_a_policy_can_differ_by_medicare_contractor() -> None:
    text = "".join(
        f"""
[[policies]]
id = "policies.{name}"
key = "waste"
{mac}
value = "{value}"
title = "a choice"
effective_from = 2024-01-01
source = ["G238"]
status = "guide"
refresh = "annual"
"""
        for name, mac, value in (("any", "", "none"), ("jh", 'mac = "JH"', "JZ"))
    )
    book = load({"a.toml": text})
    assert book.one(Policy, date(2025, 1, 1), key="waste", mac="JH").value == "JZ"
    assert book.one(Policy, date(2025, 1, 1), key="waste", mac="J6").value == "none"
