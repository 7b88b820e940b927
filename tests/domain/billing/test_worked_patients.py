"""The guide's two worked patients, line by line, in both editions (G135-169)."""

from __future__ import annotations

from decimal import Decimal

from tests.domain.billing.stories import b_all_inpatient, edit_ids, error_ids, lines, mcl_inpatient, units


def test_the_adult_with_mcl_has_claims_a_b_and_c() -> None:
    assert mcl_inpatient().claim_keys() == ["A/1", "B/1", "C/1"]


def test_no_claim_of_the_adult_with_mcl_is_held_or_waiting() -> None:
    for claim in mcl_inpatient().claims():
        assert claim.ready, claim.waiting_for
        assert claim.errors == ()


def test_claim_a_is_the_autologous_collection_on_an_outpatient_bill() -> None:
    claim = mcl_inpatient().claim("A/1")
    assert [(line.hcpcs, line.revenue_code, line.units) for line in claim.lines] == [("38206", "0871", 1)]
    assert (claim.type_of_bill, claim.place_of_service, claim.form.value) == ("131", None, "UB-04")
    assert [d.code for d in claim.diagnoses] == ["C83.18"]
    assert any("pays collection with the product" in advisory for advisory in claim.advisories)


def test_fludarabine_is_two_units_a_day_and_cyclophosphamide_ten() -> None:
    story = mcl_inpatient()
    first, stay = story.claim("B/1"), story.claim("C/1")
    assert [line.units for line in lines(first, "J9185")] == [2]
    assert [line.units for line in lines(first, "J9070")] == [10]
    assert [line.units for line in lines(stay, "J9185")] == [2, 2]
    assert [line.units for line in lines(stay, "J9070")] == [10, 10]


def test_the_guide_prints_167_and_3_units() -> None:
    story = mcl_inpatient(payer="aetna").authorization()
    claim = story.claim("B/1", "guide")
    assert units(claim, "J9185") == 167
    assert units(claim, "J9070") == 3
    assert [(line.hcpcs, line.units) for line in claim.lines if line.service.startswith("chemo")] == [
        ("96413", 1),
        ("96415", 1),
        ("96413", 1),
        ("96415", 1),
        ("96413", 1),
        ("96415", 1),
    ]
    assert any("contradict the guide's own basis" in text for text in claim.advisories)


def test_the_same_days_in_the_current_edition_take_the_second_drug_as_sequential() -> None:
    claim = mcl_inpatient(payer="aetna").claim("B/1")
    assert [(line.hcpcs, line.units) for line in claim.lines if line.service.startswith("chemo")] == [
        ("96413", 1),
        ("96417", 1),
        ("96413", 1),
        ("96417", 1),
        ("96413", 1),
        ("96417", 1),
    ]
    assert (units(claim, "J9185"), units(claim, "J9070")) == (6, 30)


def test_lymphodepletion_lists_the_encounter_for_chemotherapy_first_and_the_guide_second() -> None:
    story = mcl_inpatient()
    assert [d.code for d in story.claim("B/1").diagnoses] == ["Z51.11", "C83.18"]
    assert [d.code for d in story.claim("B/1", "guide").diagnoses] == ["C83.18", "Z51.11"]


def test_drug_lines_carry_eleven_digits_milligrams_and_jz() -> None:
    line = lines(mcl_inpatient().claim("B/1"), "J9185")[0]
    assert (line.ndc, line.ndc_quantity, line.ndc_unit) == ("63323019202", Decimal("55.5"), "ME")
    assert line.modifiers == ("JZ",)
    assert line.fields["ndc"] == "FL 43"
    assert line.reason.events[0].startswith("e")
    assert line.reason.rule == "drugs.fludarabine"


def test_claim_c_is_the_stay_with_product_procedure_group_and_invoice_cost() -> None:
    claim = mcl_inpatient().claim("C/1")
    assert (claim.type_of_bill, claim.drg) == ("111", "018")
    assert [(p.role, p.code) for p in claim.procedures] == [("principal", "XW033M7")]
    product = lines(claim, "Q2053")[0]
    assert (product.revenue_code, product.units, product.ndc) == ("0891", 1, "71287021901")
    assert ("86", Decimal("424000.00")) in [(value.code, value.amount) for value in claim.codes]
    assert claim.remarks == "Tecartus (brexucabtagene autoleucel), lot KTA0001"
    assert claim.total == sum(line.charge for line in claim.lines)


def test_the_guide_prints_the_procedure_that_no_longer_exists_and_warns() -> None:
    claim = mcl_inpatient().claim("C/1", "guide")
    assert claim.procedures[0].code == "XW033C3"
    assert claim.drg != "018"
    assert {"wrong_drg", "code_not_valid"} <= edit_ids(claim)
    assert not {"wrong_drg", "code_not_valid"} & error_ids(claim)


def test_b_all_in_one_stay_has_no_claim_b_and_central_access() -> None:
    story = b_all_inpatient()
    assert story.claim_keys() == ["A/1", "C/1"]
    claim = story.claim("C/1")
    assert claim.procedures[0].code == "XW043M7"
    assert claim.errors == ()


def test_one_cyclophosphamide_dose_of_1665_mg_is_17_units() -> None:
    assert [line.units for line in lines(b_all_inpatient().claim("C/1"), "J9070")] == [17]


def test_three_cyclophosphamide_doses_are_billed_as_given_and_held_for_safety() -> None:
    claim = b_all_inpatient((-4, -3, -2)).claim("C/1")
    assert units(claim, "J9070") == 51
    assert "regimen_extra_dose" in error_ids(claim)


def test_the_guide_expects_three_and_prints_139_and_17_units() -> None:
    claim = b_all_inpatient((-4, -3, -2)).claim("C/1", "guide")
    assert (units(claim, "J9185"), units(claim, "J9070")) == (139, 17)
    assert "regimen_extra_dose" not in edit_ids(claim)
