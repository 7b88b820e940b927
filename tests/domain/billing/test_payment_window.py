"""Which claims exist: the payment window, the stay, repeated courses and collections, readmissions (corrections C5)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing.model import Claim
from tests.domain.billing.stories import Story, error_ids, mcl_inpatient


def dose_days(story: Story, claim: Claim) -> list[int]:
    days = {line.date_of_service for line in claim.lines if line.service == "fludarabine"}
    return sorted((day - story.day0).days for day in days)


def by_letter(story: Story) -> dict[str, list[int]]:
    return {claim.letter: dose_days(story, claim) for claim in story.claims() if claim.letter in "BC"}


@pytest.mark.parametrize(
    ("admission", "on_b", "on_c"),
    [(0, [-5, -4], [-3]), (-1, [-5], [-4, -3]), (-3, [], [-5, -4, -3]), (-5, [], [-5, -4, -3])],
)
def test_medicare_bills_the_three_days_before_the_admission_with_the_stay(
    admission: int, on_b: list[int], on_c: list[int]
) -> None:
    found = by_letter(mcl_inpatient(admission))
    assert found.get("B", []) == on_b
    assert found["C"] == on_c


@pytest.mark.parametrize(("admission", "on_b", "on_c"), [(0, [-4], [-3, -2]), (-1, [], [-4, -3, -2])])
def test_medicare_bills_the_days_of_b_all_with_the_stay(admission: int, on_b: list[int], on_c: list[int]) -> None:
    story = Story().referral(indication="b_all", diagnosis="C91.02").collection().released().b_all_course()
    story.admitted(admission).infused().discharged(14).coded("ADM1", "C91.02")
    assert by_letter(story).get("B", []) == on_b
    assert by_letter(story)["C"] == on_c


def test_a_commercial_payer_has_no_payment_window() -> None:
    assert by_letter(mcl_inpatient(-4, payer="aetna")) == {"B": [-5], "C": [-4, -3]}


def test_an_exempt_hospital_has_a_window_of_one_day() -> None:
    story = Story().referral(facilities={"apheresis": "st_mary_exempt", "infusion": "st_mary_exempt"})
    story.collection(facility="st_mary_exempt").released().mcl_course(facility="st_mary_exempt")
    story.admitted(-2, facility="st_mary_exempt").infused(facility="st_mary_exempt").discharged(14).coded()
    assert by_letter(story) == {"B": [-5, -4], "C": [-3]}


def test_the_window_applies_to_a_wholly_owned_office_and_not_to_another_owner() -> None:
    owned = Story().referral().collection().released().mcl_course(facility="st_mary_office", setting="office")
    owned.admitted(-1).infused().discharged(14).coded()
    assert by_letter(owned) == {"B": [-5], "C": [-4, -3]}
    other = Story().referral().collection().released().mcl_course(facility="lakeside")
    other.admitted(-1).infused().discharged(14).coded()
    assert by_letter(other) == {"B": [-5, -4, -3], "C": []}


def test_services_attested_unrelated_stay_on_claim_b_with_the_condition_code() -> None:
    story = mcl_inpatient().evidence("unrelated_services", day=-1)
    assert by_letter(story) == {"B": [-5, -4, -3], "C": []}
    assert [(code.kind, code.code) for code in story.claim("B/1").codes] == [("condition", "51")]


def test_the_stay_explains_what_it_includes_and_claim_b_where_the_rest_is() -> None:
    story = mcl_inpatient()
    assert any("payment window" in text for text in story.claim("C/1").folded)
    assert any("are on Claim C 1" in text for text in story.claim("B/1").folded)


def test_claim_b_waits_while_a_payment_window_could_still_include_it() -> None:
    story = Story().referral().collection().released().mcl_course()
    claim = story.claim("B/1")
    assert not claim.ready
    assert "payment window" in claim.waiting_for[0]
    assert story.fact("cart.encounter.withdrawn", story.at(1), reason="progression").claim("B/1").ready


def test_a_commercial_claim_b_waits_for_nothing() -> None:
    story = Story().referral(coverage={"payer": "aetna", "member_id": "W1"}).authorization().mcl_course()
    assert story.claim("B/1").ready


def test_a_repeated_course_is_its_own_claim() -> None:
    story = Story().referral().collection().released().mcl_course(-30).mcl_course(-5).infused("outpatient")
    assert [(c.key, dose_days(story, c)) for c in story.claims() if c.letter == "B"] == [
        ("B/1", [-30, -29, -28]),
        ("B/2", [-5, -4, -3]),
    ]


def test_a_repeat_collection_is_its_own_claim_a_and_a_failed_bag_bills_no_product() -> None:
    story = Story().referral().collection(-50, 1).collection(-49, 2)
    story.fact("cart.manufacturing.failed", story.at(-40), coi_id="COI-1", reason="out of specification")
    story.collection(-28, 1, coi_id="COI2")
    assert story.claim_keys() == ["A/1", "A/2", "A/3"]
    assert all(line.hcpcs != "Q2053" for claim in story.claims() for line in claim.lines)


def test_a_started_infusion_waits_and_a_bag_that_ran_no_cells_bills_none() -> None:
    story = Story().referral().collection().released()
    label = {"coi_id": "COI-1", "hcpcs": "Q2053", "ndc": "71287-219-01", "lot": "KTA0001"}
    data = {"bag_id": "BAG-1", "facility": "st_mary", "setting": "outpatient", "access": "peripheral", "label": label}
    story.fact("cart.infusion.started", story.at(0, 12), at=story.at(0, 12), **data)
    assert story.claim("C/1").waiting_for == ("the end of the infusion",)
    story.fact(
        "cart.infusion.stopped", story.at(0, 12, 5), at=story.at(0, 12, 5), reason="leak", cells_infused=0, **data
    )
    assert story.claim_keys() == ["A/1"]


def test_inpatient_claims_wait_for_discharge_and_coding() -> None:
    story = Story().referral().collection().released().mcl_course().admitted(-1).infused()
    assert story.claim("C/1").waiting_for == ("the discharge", "the coder's abstract of the stay")
    assert story.discharged(14).claim("C/1").waiting_for == ("the coder's abstract of the stay",)
    assert story.coded().claim("C/1").ready


def test_collections_in_one_stay_are_one_inpatient_claim_with_leukocytes() -> None:
    story = Story().referral().admitted(-29, "COLL").collection(-28, 1, setting="inpatient")
    story.collection(-27, 2, setting="inpatient").discharged(-26, "COLL").coded("COLL")
    claim = story.claim("A/1")
    assert story.claim_keys() == ["A/1"]
    assert (claim.type_of_bill, [p.code for p in claim.procedures]) == ("111", ["6A551Z1"])


def test_an_office_collection_is_a_professional_claim() -> None:
    claim = Story().referral().collection(facility="st_mary_office", setting="office").claim("A/1")
    assert (claim.form.value, claim.type_of_bill, claim.place_of_service) == ("CMS-1500", None, "11")
    assert [line.fields["hcpcs"] for line in claim.lines] == ["24D"]


def test_nothing_is_claimed_before_a_service_or_without_a_referral() -> None:
    assert Story().referral().claim_keys() == []
    assert Story().collection().claim_keys() == []


# readmissions


def outpatient_infusion(payer: str = "medicare") -> Story:
    story = Story().referral(planned_setting="outpatient", coverage={"payer": payer, "member_id": "W1"})
    return story.authorization().collection().released().mcl_course().infused("outpatient")


def test_a_readmission_for_crs_is_claim_d() -> None:
    story = outpatient_infusion().admitted(5, "ADM2").toxicity(5, crs=2).tocilizumab(5)
    story.discharged(10, "ADM2").coded("ADM2", "A41.9", ("T80.82XA", "Y"), ("D89.832", "Y"))
    assert story.claim_keys() == ["A/1", "B/1", "C/1", "D/1"]
    claim = story.claim("D/1")
    assert [(d.role, d.code) for d in claim.diagnoses][1:] == [
        ("principal", "A41.9"),
        ("other", "T80.82XA"),
        ("other", "D89.832"),
        ("other", "Z92.850"),
    ]
    assert claim.errors == ()


def test_a_readmission_for_another_cause_is_not_claim_d() -> None:
    story = (
        outpatient_infusion().toxicity(2, crs=1).admitted(12, "ADM2").discharged(14, "ADM2").coded("ADM2", "S72.001A")
    )
    assert "D/1" not in story.claim_keys()


def test_a_readmission_after_the_window_is_no_claim_d() -> None:
    story = outpatient_infusion().admitted(31, "ADM2").toxicity(31, crs=2).discharged(33, "ADM2").coded("ADM2", "A41.9")
    assert "D/1" not in story.claim_keys()
    assert "D/1" in outpatient_infusion().admitted(30, "ADM2").toxicity(30, crs=2).claim_keys()


def test_crs_in_the_infusion_stay_is_coded_on_claim_c() -> None:
    story = mcl_inpatient().toxicity(3, crs=1).toxicity(4, crs=3, icans=2).toxicity(6, crs=1).tocilizumab(4)
    assert story.claim_keys() == ["A/1", "B/1", "C/1"]
    added = [(d.code, d.poa) for d in story.claim("C/1").diagnoses if d.role == "other"]
    assert added == [("T80.82XA", "N"), ("D89.833", "N"), ("G92.02", "N")]


def test_the_complication_that_the_abstract_leaves_out_is_added_before_what_it_caused() -> None:
    """ICD-10-CM tabular list: code first the underlying cause at D89.83 and G92.0."""
    story = Story().referral().collection().released().mcl_course().admitted(-1).infused().toxicity(4, crs=3, icans=2)
    story.discharged(14).coded("ADM1", "C83.18", ("N17.9", "N"), ("D89.833", "N"))
    claim = story.claim("C/1")
    assert [d.code for d in claim.diagnoses if d.role == "other"] == ["N17.9", "T80.82XA", "D89.833", "G92.02"]
    assert "toxicity_sequence" not in {edit.id for edit in claim.edits}


def test_an_admission_within_the_payment_window_includes_an_outpatient_infusion_for_medicare() -> None:
    story = outpatient_infusion().admitted(2, "ADM2").toxicity(2, crs=2).discharged(9, "ADM2").coded("ADM2")
    assert story.claim_keys() == ["A/1", "B/1", "C/1"]
    claim = story.claim("C/1")
    assert (claim.type_of_bill, claim.drg) == ("111", "018")
    assert any("no Claim D" in text for text in claim.folded)


def test_the_same_admission_is_claim_d_for_a_commercial_payer() -> None:
    story = outpatient_infusion("aetna").admitted(2, "ADM2").toxicity(2, crs=2).discharged(9, "ADM2")
    story.coded("ADM2", "A41.9", ("D89.832", "Y"))
    assert story.claim_keys() == ["A/1", "B/1", "C/1", "D/1"]
    assert story.claim("C/1").type_of_bill == "131"


@pytest.mark.parametrize(
    ("payer", "day", "attested", "why"),
    [
        ("aetna", 2, False, "this payer has no payment window (policies.payment_window)"),
        ("medicare", 5, False, "more than the 3 days of the payment window later"),
        ("medicare", 2, True, "attested unrelated to this stay"),
    ],
)
def test_a_readmission_explains_why_it_is_a_separate_claim(payer: str, day: int, attested: bool, why: str) -> None:
    story = outpatient_infusion(payer).admitted(day, "ADM2").toxicity(day, crs=2).discharged(day + 5, "ADM2")
    story.coded("ADM2", "A41.9", ("D89.832", "Y"))
    if attested:
        story.evidence("unrelated_services", day=day)
    assert [text for text in story.claim("D/1").folded if why in text]


def test_outpatient_tocilizumab_is_a_line_with_its_administration_on_an_outpatient_claim_d() -> None:
    story = outpatient_infusion().toxicity(4, crs=2).tocilizumab(4, setting="outpatient")
    claim = story.claim("D/1")
    assert claim.type_of_bill == "131"
    assert [(line.hcpcs, line.units) for line in claim.lines] == [("96365", 1), ("J3262", 560)]
    assert [d.code for d in claim.diagnoses][:2] == ["T80.82XA", "D89.832"]


def test_outpatient_treatment_on_the_day_of_the_infusion_is_on_its_claim() -> None:
    story = outpatient_infusion().toxicity(0, crs=2, hour=18).tocilizumab(0, 19, setting="outpatient")
    assert story.claim_keys() == ["A/1", "B/1", "C/1"]
    claim = story.claim("C/1")
    assert "J3262" in [line.hcpcs for line in claim.lines]
    assert [d.code for d in claim.diagnoses] == ["C83.18", "T80.82XA", "D89.832"]


@settings(max_examples=40, deadline=None)
@given(
    admission=st.integers(-7, 0),
    payer=st.sampled_from(["medicare", "aetna"]),
    facility=st.sampled_from(["st_mary", "st_mary_office", "lakeside"]),
    first=st.integers(-9, -4),
)
def test_the_payment_window_never_loses_or_doubles_a_documented_service(
    admission: int, payer: str, facility: str, first: int
) -> None:
    story = Story().referral(coverage={"payer": payer, "member_id": "W1"}).authorization().collection().released()
    story.mcl_course(first, facility=facility).admitted(admission).infused().discharged(14).coded()
    documented = {f.event_id for f in story.record().lymphodepletion} | {f.event_id for f in story.record().collections}
    counted = Counter(
        line.reason.events[0]
        for claim in story.claims()
        for line in claim.lines
        if line.service in ("fludarabine", "cyclophosphamide", "collection")
    )
    assert counted == Counter(documented)
    assert not any({"duplicate_line", "line_outside_period"} & error_ids(claim) for claim in story.claims())


@pytest.mark.parametrize("name", ["medicare", "aetna"])
def test_an_account_that_becomes_inpatient_on_the_day_of_the_infusion_is_one_claim(name: str) -> None:
    """Also for a payer without a payment window: else the stay would be on no claim."""
    story = Story().referral(coverage={"payer": name, "member_id": "W"}, planned_setting="outpatient").authorization()
    story.collection().released().admitted(0, **{"class": "outpatient", "at": story.at(0, 8)}).infused("outpatient")
    story.fact(
        "cart.admission.changed", story.at(0, 18), admission_id="ADM1", at=story.at(0, 18), **{"class": "inpatient"}
    )
    story.discharged(9).coded()

    claims = {claim.key: claim for claim in story.claims()}

    assert (claims["C/1"].setting, claims["C/1"].drg) == ("inpatient", "018")
    assert "D/1" not in claims
    assert not [text for text in claims["C/1"].folded if "payment window" in text]
