"""What the guide leaves to payer, contractor and date is a row: a different row gives a different claim from the same builder."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing import build_claims
from domain.billing.model import Claim
from domain.rulebook import Rulebook
from tests.domain.billing.breaks import outpatient
from tests.domain.billing.stories import Story, error_ids, mcl_inpatient
from tests.kit.rules import rulebook, rules_with
from tests.kit.site import site


def claim(story: Story, key: str, rules: Rulebook) -> Claim:
    return next(c for c in story.claims(rules=rules) if c.key == key)


def infused() -> Story:
    return outpatient("aetna").infused("outpatient")


@pytest.mark.parametrize(
    ("value", "codes"), [("collection", ["38206"]), ("collection_therapeutic", ["36511"]), ("harvest", ["38225"])]
)
def test_the_payer_decides_the_code_of_the_collection(value: str, codes: list[str]) -> None:
    found = claim(infused(), "A/1", rules_with("collection_code", value))
    assert [line.hcpcs for line in found.lines] == codes
    assert found.errors == ()


def test_a_payer_that_refuses_the_collection_gets_no_claim_a() -> None:
    assert "A/1" not in [c.key for c in infused().claims(rules=rules_with("collection_code", "none"))]


def test_transport_preparation_is_tracked_on_the_day_of_collection() -> None:
    found = claim(infused(), "A/1", rules_with("transport_preparation_line", "tracking"))
    assert [(line.revenue_code, line.hcpcs) for line in found.lines] == [("0871", "38206"), ("0872", "38226")]


def test_receipt_is_tracked_or_inside_the_product_never_both() -> None:
    assert [line.revenue_code for line in infused().claim("C/1").lines] == ["0873", "0874", "0891"]
    inside = claim(infused(), "C/1", rules_with("receipt_preparation_line", "inside_product"))
    assert [line.revenue_code for line in inside.lines] == ["0874", "0891"]


def test_the_contractor_may_require_jz_on_the_product() -> None:
    rules = rules_with("product_waste_modifier", "report", mac="JK")
    product = [line for line in claim(infused(), "C/1", rules).lines if line.service == "cell_product"]
    assert [line.modifiers for line in product] == [("JZ",)]
    assert [line.modifiers for line in infused().claim("C/1").lines if line.service == "cell_product"] == [()]


def test_an_inpatient_bill_may_leave_codes_off_its_lines() -> None:
    story = mcl_inpatient(payer="aetna").authorization()
    bare = claim(story, "C/1", rules_with("product_hcpcs_inpatient", "omitted"))
    assert [line.hcpcs for line in bare.lines if line.service == "cell_product"] == [None]
    stay = mcl_inpatient(-5, payer="aetna").authorization()
    lines = claim(stay, "C/1", rules_with("drug_hcpcs_inpatient", "omitted")).lines
    assert {line.hcpcs for line in lines if line.service == "fludarabine"} == {None}


def test_a_payer_may_leave_toxicity_to_the_coder() -> None:
    story = mcl_inpatient(payer="aetna").authorization().toxicity(3, crs=2)
    left = claim(story, "C/1", rules_with("toxicity_codes", "leave"))
    assert [d.code for d in left.diagnoses if d.role == "other"] == []
    assert "toxicity_not_coded" in error_ids(left)


def test_a_payer_may_have_its_own_payment_window() -> None:
    story = mcl_inpatient(payer="aetna").authorization()
    found = {c.key: c for c in story.claims(rules=rules_with("payment_window", "fold"))}
    days = [(line.date_of_service - story.day0).days for line in found["B/1"].lines if line.service == "fludarabine"]
    assert days == [-5]


def test_a_payer_may_require_a_claim_for_each_visit() -> None:
    found = {c.key: c for c in infused().claims(rules=rules_with("lymphodepletion_claims", "visit"))}
    visits = [found[key] for key in ("B/1", "B/2", "B/3")]
    assert [(c.statement_from, c.statement_through) for c in visits] == [
        (infused().date_of(d),) * 2 for d in (-5, -4, -3)
    ]
    assert [len(c.lines) for c in visits] == [4, 4, 4]
    assert all(not {"regimen_extra_dose", "duplicate_line"} & error_ids(c) for c in visits)
    whole = infused().claim("B/1")
    assert sum((c.total for c in visits), Decimal(0)) == whole.total


def test_the_order_of_the_chemotherapy_encounter_is_a_row() -> None:
    found = claim(infused(), "B/1", rules_with("chemotherapy_encounter_order", "after_disease"))
    assert [d.code for d in found.diagnoses] == ["C83.18", "Z51.11"]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), again=st.lists(st.integers(0, 20), max_size=6))
def test_the_order_and_repetition_of_arrival_change_nothing(seed: int, again: list[int]) -> None:
    story = mcl_inpatient().toxicity(3, crs=2).tocilizumab(3).charge("1", 2, "0250", "120.00", admission_id="ADM1")
    expected = [c.content_hash for c in story.claims()]
    shuffled = [*story.facts, *(story.facts[index % len(story.facts)] for index in again)]
    random.Random(seed).shuffle(shuffled)
    assert [c.content_hash for c in Story(story.day0, shuffled).claims()] == expected


@settings(max_examples=25, deadline=None)
@given(
    amounts=st.lists(st.decimals(min_value=0, max_value=9999, places=2), max_size=5),
    mg=st.decimals(min_value=1, max_value=2000, places=1),
    wasted=st.decimals(min_value=0, max_value=500, places=1),
)
def test_every_total_is_the_sum_of_its_lines_and_no_posted_cent_is_lost(
    amounts: list[Decimal], mg: Decimal, wasted: Decimal
) -> None:
    story = mcl_inpatient(-5).dosed("fludarabine", -2, str(mg), str(wasted))
    for index, amount in enumerate(amounts):
        story.charge(f"c{index}", -2, "0636", str(amount), "J9185" if index % 2 else None, admission_id="ADM1")
    claims = build_claims(story.record(), site(), rulebook())
    assert all(c.total == sum((line.charge for line in c.lines), Decimal(0)) for c in claims)
    posted = {f.event_id for f in story.record().charges}
    carried = [line for c in claims for line in c.lines if posted & set(line.reason.events)]
    assert sum((line.charge for line in carried), Decimal(0)) == sum(amounts, Decimal(0))
