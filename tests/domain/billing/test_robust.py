"""Whatever is charted, a claim is built or held; nothing crashes and nothing is guessed."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.billing.breaks import payer
from tests.domain.billing.stories import Story, error_ids


def whole(**referral: object) -> Story:
    story = Story().referral(**referral).authorization().collection().released().mcl_course()
    return story.admitted(-1).infused().discharged(14).coded().toxicity(3, crs=2)


@pytest.mark.parametrize(
    "referral",
    [{"coverage": payer("tricare")}, {"product": "unheard_of"}, {"indication": "unheard_of"}, {"diagnosis": "Z99.9"}],
    ids=["payer", "product", "indication", "diagnosis"],
)
def test_an_unknown_key_holds_the_claims_and_names_what_is_missing(referral: dict[str, object]) -> None:
    claims = whole(**referral).claims()
    assert {claim.letter for claim in claims} >= {"A", "C"}
    held = set[str]().union(*(error_ids(claim) for claim in claims))
    assert held & {"no_rule", "unknown_payer", "diagnosis_product"}


@pytest.mark.parametrize("year", [2016, 2018, 2020, 2023, 2024, 2031])
def test_a_year_without_rulebook_rows_or_grouper_version_holds_the_stay(year: int) -> None:
    story = Story()
    story.day0 = date(year, 6, 15)
    story.referral().collection().released().mcl_course().admitted(-1).infused().discharged(14).coded()
    stay = story.claim("C/1")
    assert bool(stay.errors) == (year not in (2023, 2024))


def test_a_facility_that_is_not_in_the_site_file_is_dated_in_utc_and_held() -> None:
    story = whole().infused("outpatient", day=20, bag="BAG2", facility="nowhere")
    assert "unknown_facility" in error_ids(story.claim("C/2"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_part_of_a_feed_builds(data: st.DataObject) -> None:
    story = whole().tocilizumab(3).charge("1", 2, "0250", "9", admission_id="ADM1").charge("2", -20, "0300", "9")
    story.admitted(20, "ADM2").toxicity(20, icans=1).discharged(22, "ADM2").evidence("unrelated_services", -1)
    chosen = data.draw(st.lists(st.sampled_from(story.facts), unique_by=lambda fact: fact.event_id))
    for claim in Story(story.day0, chosen).claims():
        assert claim.ready == (not claim.waiting_for)
        assert claim.statement_from <= claim.statement_through
        assert {line.number for line in claim.lines} == set(range(1, 1 + len(claim.lines)))
