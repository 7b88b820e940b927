"""Units from milligrams, administration codes from times, NDC: arithmetic that must hold for every chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.build.administration import Given, additional_hours, chemotherapy, overlap
from domain.billing.build.units import per_course, per_line, spread
from domain.billing.ndc import belongs_to, eleven
from tests.domain.billing.stories import Story, lines
from tests.kit.rules import rulebook

MG = st.decimals(min_value=Decimal("0.001"), max_value=Decimal(5000), places=3)
WASTE = st.decimals(min_value=0, max_value=Decimal(900), places=3)
BASIS = st.sampled_from([Decimal(1), Decimal(5), Decimal(10), Decimal(50), Decimal(100)])


@given(MG, WASTE, BASIS)
def test_both_lines_cover_what_was_drawn_by_less_than_one_unit(mg: Decimal, wasted: Decimal, basis: Decimal) -> None:
    units = per_line(mg, wasted, basis)
    billed = (units.given + units.wasted) * basis
    assert mg + wasted <= billed < mg + wasted + basis
    assert units.given * basis - basis < mg <= units.given * basis
    assert units.wasted >= 0


@given(st.lists(MG, min_size=1, max_size=7), BASIS)
def test_a_course_rounded_once_covers_its_sum(doses: list[Decimal], basis: Decimal) -> None:
    billed = sum(per_course(doses, basis)) * basis
    assert sum(doses) <= billed < sum(doses) + basis


@given(st.integers(0, 500), st.integers(1, 9))
def test_a_printed_total_is_spread_without_loss(total: int, parts: int) -> None:
    found = spread(total, parts)
    assert sum(found) == total
    assert max(found) - min(found) <= 1


@pytest.mark.parametrize(("minutes", "hours"), [(30, 0), (60, 0), (90, 0), (91, 1), (150, 1), (151, 2), (240, 3)])
def test_an_additional_hour_needs_more_than_thirty_minutes(minutes: int, hours: int) -> None:
    assert additional_hours(minutes) == hours


def drug(name: str, start: int, minutes: int, *, push: bool = False) -> Given:
    began = datetime(2026, 6, 10, 9, tzinfo=UTC) + timedelta(minutes=start)
    return Given(name, began, began + timedelta(minutes=minutes), push, f"{name}{start}")


def roles(*given: Given) -> list[tuple[str, int]]:
    return [(service.role, service.units) for service in chemotherapy(given)]


def test_each_service_has_a_reason() -> None:
    explanation = [
        service.text
        for service in chemotherapy([drug("flu", 0, 95), drug("cy", 100, 155), drug("mesna", 300, 5, push=True)])
    ]
    assert explanation == [
        "flu ran 95 minutes: the first infusion of the day, up to an hour.",
        "cy ran 155 minutes: the next drug, up to an hour.",
        "mesna: a push, given as one or over no more than 15 minutes, another drug of the day.",
        "flu ran 95 minutes: 1 after the first hour; each counts after more than 30 minutes."
        " cy ran 155 minutes: 2 after the first hour; each counts after more than 30 minutes.",
    ]


def test_the_first_drug_is_initial_and_the_second_sequential() -> None:
    assert roles(drug("cy", 40, 60), drug("flu", 0, 30)) == [
        ("chemo_infusion_initial", 1),
        ("chemo_infusion_sequential", 1),
    ]


def test_hours_of_both_drugs_add_up() -> None:
    assert roles(drug("flu", 0, 95), drug("cy", 100, 155))[-1] == ("chemo_infusion_hour", 3)


def test_an_infusion_ranks_before_a_push_in_any_order() -> None:
    assert roles(drug("flu", 0, 5, push=True), drug("cy", 30, 60)) == [
        ("chemo_infusion_initial", 1),
        ("chemo_push_additional", 1),
    ]


def test_fifteen_minutes_are_a_push() -> None:
    assert roles(drug("flu", 0, 15)) == [("chemo_push", 1)]
    assert roles(drug("flu", 0, 16)) == [("chemo_infusion_initial", 1)]


def test_two_bags_of_one_drug_are_one_initial_service() -> None:
    assert roles(drug("flu", 0, 60), drug("flu", 70, 60)) == [("chemo_infusion_initial", 1), ("chemo_infusion_hour", 1)]


def test_two_drugs_at_the_same_time_are_found() -> None:
    assert overlap([drug("flu", 0, 60), drug("cy", 30, 60)])
    assert not overlap([drug("flu", 0, 30), drug("cy", 30, 60)])


@pytest.mark.parametrize(
    ("charted", "digits"),
    [
        ("71287-219-01", "71287021901"),
        ("1234-5678-90", "01234567890"),
        ("12345-6789-0", "12345678900"),
        ("12345-6789-01", "12345678901"),
        ("71287021901", "71287021901"),
        ("1234-567-89", "01234056789"),
        ("7128721901", None),
    ],
)
def test_an_ndc_becomes_eleven_digits(charted: str, digits: str | None) -> None:
    assert eleven(charted) == digits


def test_an_ndc_belongs_to_labeler_and_product() -> None:
    assert belongs_to("71287-219-01", ["71287-219"])
    assert belongs_to("71287021901", ["71287"])
    assert not belongs_to("71287-119-01", ["71287-219", "71287-220"])


# the same on claims


def b_lines(story: Story, code: str) -> list[tuple[int, tuple[str, ...]]]:
    return [(line.units, line.modifiers) for line in lines(story.claim("B/1"), code)]


def commercial() -> Story:
    return Story().referral(coverage={"payer": "aetna", "member_id": "W1"}).authorization()


def test_waste_beyond_the_rounding_is_its_own_line_with_jw() -> None:
    story = commercial().dosed("fludarabine", -5, "55.5", "44.5").dosed("fludarabine", -4, "20", "130")
    assert b_lines(story, "J9185") == [(2, ("JZ",)), (1, ()), (2, ("JW",))]


def test_jz_begins_in_july_2023() -> None:
    before = commercial()
    before.day0 = Story().day0.replace(year=2023)
    assert b_lines(before.dosed("fludarabine", -5, "50"), "J9185") == [(1, ())]


def test_the_340b_modifier_is_for_medicare_drugs_recorded_as_such() -> None:
    medicare = Story().referral().dosed("fludarabine", -5, "50", acquired_340b=True).dosed("fludarabine", -4, "50")
    assert b_lines(medicare, "J9185") == [(1, ("JZ", "TB")), (1, ("JZ",))]
    assert b_lines(commercial().dosed("fludarabine", -5, "50", acquired_340b=True), "J9185") == [(1, ("JZ",))]


def test_tocilizumab_follows_the_charted_ndc() -> None:
    story = commercial().collection().released().mcl_course().infused("outpatient").toxicity(3, crs=2)
    story.tocilizumab(3, setting="outpatient", ndc="64406-022-01")
    assert [line.hcpcs for line in story.claim("D/1").lines if line.service == "tocilizumab"] == ["Q5133"]


def test_the_day_of_service_is_that_of_the_hospital_clock() -> None:
    story = Story().referral()
    late = story.at(-28, 23, 30)
    claim = story.collection(started_at=late, ended_at=late + timedelta(hours=2)).claim("A/1")
    assert claim.lines[0].date_of_service == story.date_of(-28)


def test_administration_changes_its_code_with_the_year() -> None:
    for year, code in ((2024, "0540T"), (2025, "38228")):
        story = commercial()
        story.day0 = story.day0.replace(year=year)
        claim = story.released().infused("outpatient").claim("C/1")
        assert [line.hcpcs for line in claim.lines if line.service == "cell_administration"] == [code]


@pytest.mark.parametrize(
    ("year", "month", "access", "code"),
    [
        (2020, 9, "peripheral", "XW033C3"),
        (2020, 11, "peripheral", "XW23346"),
        (2021, 3, "central", "XW24346"),
        (2021, 11, "peripheral", "XW033M7"),
        (2026, 6, "central", "XW043M7"),
    ],
)
def test_the_procedure_code_is_that_of_product_access_and_discharge(
    year: int, month: int, access: str, code: str
) -> None:
    story = Story()
    story.day0 = story.day0.replace(year=year, month=month, day=5)
    story.referral().released().admitted(-1).infused(access=access).discharged(10).coded()
    assert [p.code for p in story.claim("C/1").procedures] == [code]


def test_every_code_row_has_a_source() -> None:
    for table in ("codes", "drugs", "policies", "places", "form_fields", "edits"):
        assert all(row.source for row in rulebook().rows[table])
