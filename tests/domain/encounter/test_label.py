"""Product, indication, diagnosis and age: on the day of service, and whose patient it is otherwise."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.days import age_on, end_of_day, local_day
from domain.events.base import Stage
from tests.kit.patient import patient as named
from tests.kit.stories import ZONE, Story, holds, kinds


def born(birth: str, **changes: Any) -> Story:
    story = Story()
    story.refer(
        patient=named(birth_date=birth),
        **changes,
    )
    return story


def b_all(birth: str) -> Story:
    story = born(birth, indication="b_all", diagnosis="C91.02")
    story.add(-44, "age_document")
    story.add(-44, "cd19_flow", {"cd19_positive": True})
    return story


def test_the_eighteenth_birthday_is_old_enough_and_the_day_before_is_not() -> None:
    for birth, open_ in (("2008-05-08", True), ("2008-05-09", False)):
        story = b_all(birth)
        story.book("apheresis", -24, -40)
        assert story.on(-24) == "2026-05-08"

        assert (Stage.APHERESIS in story.decide(-39).cleared) is open_


def test_a_child_with_leukemia_gets_the_name_of_the_product_that_covers_it() -> None:
    hold = holds(b_all("2012-01-01").decide(-40))["apheresis.eligibility.age"]

    assert "fits the label of Kymriah" in hold.requirement.missing
    assert hold.requirement.overridable is False


def test_an_adult_between_18_and_25_is_advised_and_not_held() -> None:
    decision = b_all("2003-01-01").decide(-40)

    assert decision.holds == ()
    assert any("Kymriah" in advice for advice in decision.advisories)
    assert kinds(decision)["label_overlap"].severity == "info"
    assert b_all("1998-01-01").decide(-40).advisories == ()


@pytest.mark.parametrize(
    ("changes", "hold", "whose"),
    [
        ({"diagnosis": "C83.30"}, "diagnosis", "Yescarta"),
        ({"diagnosis": "C82.00"}, "diagnosis", "Yescarta"),
        ({"indication": "lbcl", "diagnosis": "C83.30"}, "indication", "Yescarta"),
    ],
)
def test_a_disease_of_another_product_names_it(changes: dict[str, Any], hold: str, whose: str) -> None:
    found = holds(born("1960-01-01", **changes).decide(-40))[f"apheresis.eligibility.{hold}"]

    assert "fits the label of" in found.requirement.missing
    assert whose in found.requirement.missing


def test_a_product_that_is_not_enabled_holds() -> None:
    story = born("1960-01-01", product="kymriah", indication="b_all", diagnosis="C91.02")

    assert "apheresis.eligibility.product" in holds(story.decide(-40))


def test_a_remission_code_warns() -> None:
    decision = born("1960-01-01", diagnosis="C83.1A").decide(-40)

    assert kinds(decision)["remission_code"].severity == "info"
    assert "apheresis.eligibility.remission" not in holds(decision)


def test_unknown_center_and_payer_hold() -> None:
    story = born("1960-01-01", facilities={"apheresis": "elsewhere", "infusion": "st_mary"})
    assert "collection center" in holds(story.decide(-40))["apheresis.data.facilities"].requirement.missing

    story = born("1960-01-01", coverage={"payer": "unlisted", "member_id": "X"})
    decision = story.decide(-40)
    assert "apheresis.data.payer" in holds(decision)
    assert (decision.payer, decision.payer_class) == ("unlisted", "unknown")


dates = st.dates(date(1930, 1, 1), date(2030, 12, 31))


@given(dates, st.integers(0, 40000))
def test_age_is_complete_on_the_birthday(birth: date, later: int) -> None:
    day = birth + timedelta(days=later)
    years = age_on(birth, day)
    try:
        birthday = birth.replace(year=birth.year + years)
    except ValueError:
        birthday = date(birth.year + years, 3, 1)

    assert birthday <= day < birthday + timedelta(days=367)
    assert age_on(birth, birthday) == years
    assert age_on(birth, birthday - timedelta(days=1)) == years - 1 or years == 0


def test_born_on_29_february() -> None:
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17
    assert age_on(date(2008, 2, 29), date(2026, 3, 1)) == 18
    assert age_on(date(2008, 2, 29), date(2028, 2, 29)) == 20


@given(dates)
def test_a_day_ends_when_the_next_begins_also_when_clocks_change(day: date) -> None:
    end = end_of_day(day, ZONE)

    assert local_day(end, ZONE) == day + timedelta(days=1)
    assert local_day(end - timedelta(seconds=1), ZONE) == day
