"""Ways to break a claim, and the edit that stops each: the twelve denials of the guide and what a validator misses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from domain.claims import build_claims
from domain.claims.model import EditSeverity
from domain.decision import Enforcement, Requirement
from domain.events.base import Stage
from domain.rulebook import load
from domain.rulebook.rows import EditRule
from tests.domain.claims.stories import RULES, Story, edit_ids, error_ids, mcl_inpatient, rulebook, site

LABEL = {"coi_id": "COI1", "hcpcs": "Q2053", "ndc": "71287-219-01", "lot": "LOT20260A"}
CUSTODY = ("courier_pickup", "manufacturing_start", "shipped", "site_receipt")


def outpatient(payer: str = "medicare", **referral: object) -> Story:
    story = Story().referral(coverage={"payer": payer, "member_id": "W1"}, planned_setting="outpatient", **referral)
    return story.authorization().collection().release().mcl_course()


def person(born: str) -> dict[str, object]:
    address = {"line": "1 Elm", "city": "Columbus", "state": "OH", "postal_code": "43215"}
    return {"mrn": "M", "name": {"family": "T", "given": "P"}, "birth_date": born, "sex": "male", "address": address}


def stay(*others: tuple[str, str], principal: str = "C83.18", **changes: object) -> Story:
    """The MCL stay without its abstract, then coded as given."""
    story = Story().referral().collection().release().mcl_course().admitted(-1).infused().discharged(14)
    return story.coded("ADM1", principal, *others, **changes)


def unlabelled(story: Story, **label: str) -> Story:
    return story.infused("outpatient", label={**LABEL, **label})


Break = tuple[str, str, Callable[[], Story]]
ERRORS: tuple[Break, ...] = (
    (
        "authorization_missing",
        "A/1",
        lambda: Story().referral(coverage={"payer": "uhc", "member_id": "W"}).collection(),
    ),
    (
        "authorization_missing",
        "C/1",
        lambda: (
            Story()
            .referral(coverage={"payer": "uhc", "member_id": "W"})
            .authorization(last=-1)
            .collection()
            .release()
            .infused("outpatient")
        ),
    ),
    ("regimen_wrong_indication", "B/1", lambda: Story().referral(indication="b_all", diagnosis="C91.02").mcl_course()),
    ("regimen_wrong_indication", "B/1", lambda: Story().referral().dose("cyclophosphamide", -5, "1665")),
    (
        "regimen_extra_dose",
        "B/1",
        lambda: Story().referral(indication="b_all", diagnosis="C91.02").b_all_course((-4, -3, -2)),
    ),
    ("regimen_extra_dose", "B/1", lambda: Story().referral().mcl_course().dose("fludarabine", -2, "55.5")),
    ("toxicity_not_coded", "C/1", lambda: stay(("D89.831", "N"), ("T80.82XA", "N")).toxicity(4, crs=3)),
    ("toxicity_not_coded", "C/1", lambda: stay(("G92.01", "N")).toxicity(4, icans=4)),
    ("wrong_product_code", "C/1", lambda: unlabelled(outpatient(), hcpcs="Q2041")),
    ("wrong_product_ndc", "C/1", lambda: unlabelled(outpatient(), ndc="71287-119-01")),
    ("wrong_product_code", "C/1", lambda: outpatient().infused("outpatient").charge("1", 0, "0891", "9", "Q2041")),
    ("label_release_mismatch", "C/1", lambda: unlabelled(outpatient(), lot="OTHERLOT")),
    ("label_release_mismatch", "C/1", lambda: unlabelled(outpatient(), ndc="71287-219-02")),
    ("release_missing", "C/1", lambda: outpatient().infused("outpatient", bag="BAG9")),
    ("procedure_mismatch", "C/1", lambda: stay(procedures=[{"code": "XW043M7", "date": date(2026, 6, 15)}])),
    ("procedure_mismatch", "C/1", lambda: stay(procedures=[{"code": "XW033C3", "date": date(2026, 6, 15)}])),
    ("procedure_mismatch", "C/1", lambda: stay(procedures=[{"code": "XW033H7", "date": date(2026, 6, 15)}])),
    (
        "outpatient_not_permitted",
        "C/1",
        lambda: outpatient("aetna", indication="b_all", diagnosis="C91.02").infused("outpatient"),
    ),
    ("allogeneic_collection", "A/1", lambda: Story().referral().collection().charge("1", -28, "0871", "9", "38205")),
    ("foreign_code", "A/1", lambda: Story().referral().collection().charge("1", -28, "0871", "9", "0541T")),
    ("foreign_code", "C/1", lambda: outpatient().infused("outpatient").charge("1", 0, "0874", "9", "0541T")),
    ("foreign_code", "C/1", lambda: stay().charge("1", 0, "0874", "9", "0541T", admission_id="ADM1")),
    (
        "administration_on_collection",
        "A/1",
        lambda: Story().referral().collection().charge("1", -28, "0874", "9", "0540T"),
    ),
    (
        "administration_on_collection",
        "A/1",
        lambda: Story().referral().collection().charge("1", -28, "0874", "9", "38228"),
    ),
    ("infusion_code_on_cells", "C/1", lambda: outpatient().infused("outpatient").charge("1", 0, "0260", "9", "96365")),
    ("infusion_code_on_cells", "C/1", lambda: outpatient().infused("outpatient").charge("1", 0, "0335", "9", "96413")),
    ("infusion_code_on_cells", "C/1", lambda: stay().charge("1", 0, "0335", "9", "96413", admission_id="ADM1")),
    ("stage_two_charge", "A/1", lambda: Story().referral().collection().charge("1", -20, "0872", "9")),
    ("stage_two_charge", "A/1", lambda: Story().referral().collection().charge("1", -20, "0891", "9", "Q2053")),
    ("product_units", "C/1", lambda: outpatient().infused("outpatient").charge("1", 0, "0891", "9", "Q2053", 140)),
    ("product_units", "C/1", lambda: stay().charge("1", 0, "0891", "9", "Q2053", 2, admission_id="ADM1")),
    ("unacceptable_principal", "C/1", lambda: stay(principal="D89.833")),
    ("code_not_valid", "C/1", lambda: stay(("D89.830", "N"))),
    ("code_not_valid", "C/1", lambda: stay(procedures=[{"code": "XW03399", "date": date(2026, 6, 15)}])),
    ("code_not_valid", "A/1", lambda: Story().referral(diagnosis="C83.1").collection()),
    ("age_product", "A/1", lambda: Story().referral(patient=person("2010-01-01")).collection()),
    ("diagnosis_product", "A/1", lambda: Story().referral(diagnosis="C83.30").collection()),
    ("diagnosis_product", "C/1", lambda: stay(principal="C91.02")),
    ("no_rule", "B/1", lambda: Story().referral().dose("bendamustine", -5, "100")),
    ("no_rule", "C/1", lambda: outpatient(indication="lbcl").infused("office")),
    ("unknown_facility", "A/1", lambda: Story().referral().collection(facility="elsewhere")),
    ("unknown_payer", "A/1", lambda: Story().referral(coverage={"payer": "cigna", "member_id": "W"}).collection()),
    ("amount_cap", "A/1", lambda: _office().charge("1", -28, "0871", "100000.00", "38206")),
    ("npi_check_digit", "C/1", lambda: _attended("1234567890")),
    (
        "overlapping_claims",
        "C/1",
        lambda: _returned(5),
    ),
    ("drg_not_grouped", "C/1", lambda: _long_ago()),
)
WARNINGS: tuple[Break, ...] = (
    ("unconfirmed_code", "B/1", lambda: Story().referral().mcl_course()),
    ("regimen_dose", "B/1", lambda: Story().referral().dose("fludarabine", -5, "40")),
    ("overlapping_infusions", "B/1", lambda: _both_at_nine()),
    ("toxicity_added", "C/1", lambda: stay().toxicity(4, crs=3)),
    ("procedure_added", "C/1", lambda: stay()),
    ("timeline_undocumented", "C/1", lambda: outpatient().infused("outpatient")),
    ("ndc_not_in_formulary", "C/1", lambda: unlabelled(outpatient(), ndc="71287-129-01")),
    ("remission_diagnosis", "A/1", lambda: Story().referral(diagnosis="C83.1A").collection()),
    ("unmatched_charge", "A/1", lambda: Story().referral().collection().charge("1", -28, "0300", "9", "85025")),
    (
        "evaluation_not_documented",
        "A/1",
        lambda: Story().referral().collection().charge("1", -28, "0510", "9", "99214"),
    ),
    ("room_days", "C/1", lambda: stay().charge("1", 3, "0206", "9000.00", None, 3, admission_id="ADM1")),
    ("setting_mismatch", "C/1", lambda: _charted_outpatient()),
    ("paper_rems_letter", "C/1", lambda: outpatient("aetna").infused("outpatient")),
    ("paper_btk_inhibitor", "C/1", lambda: outpatient("aetna").infused("outpatient")),
    ("paper", "C/1", lambda: outpatient("aetna").infused("outpatient")),
)


def _office() -> Story:
    return Story().referral().collection(facility="st_mary_office", setting="office")


def _attended(npi: str) -> Story:
    story = Story().referral().collection().release().admitted(-1, attending_npi=npi)
    return story.infused().discharged(14).coded()


def _returned(day: int) -> Story:
    """A readmission that begins while the infusion stay still runs."""
    story = mcl_inpatient().admitted(day, "ADM2").toxicity(day, crs=2)
    return story.discharged(20, "ADM2").coded("ADM2", "A41.9", ("D89.832", "Y"))


def _long_ago() -> Story:
    story = Story()
    story.day0 = date(2021, 11, 5)
    return story.referral().release().admitted(-1).infused().discharged(10).coded()


def _both_at_nine() -> Story:
    return (
        Story().referral().dose("fludarabine", -5, "55.5", minutes=60).dose("cyclophosphamide", -5, "925", minutes=60)
    )


def _charted_outpatient() -> Story:
    return Story().referral().collection().release().admitted(-1).infused("outpatient").discharged(14).coded()


@pytest.mark.parametrize(("edit", "key", "story"), ERRORS, ids=[f"{e}-{k}-{i}" for i, (e, k, _) in enumerate(ERRORS)])
def test_a_broken_claim_is_held(edit: str, key: str, story: Callable[[], Story]) -> None:
    assert edit in error_ids(story().claim(key))


@pytest.mark.parametrize(("edit", "key", "story"), WARNINGS, ids=[f"{e}-{k}" for e, k, _ in WARNINGS])
def test_a_doubtful_claim_shows_it(edit: str, key: str, story: Callable[[], Story]) -> None:
    claim = story().claim(key)
    assert edit in edit_ids(claim) - error_ids(claim)


def test_the_whole_and_documented_claims_have_none_of_these_errors() -> None:
    for claim in mcl_inpatient().claims():
        assert claim.errors == ()


def test_every_denial_of_the_guide_has_an_edit() -> None:
    assert {row.denial for row in rulebook().table(EditRule) if row.denial} == set(range(1, 13))


def test_every_edit_says_how_it_is_cured_and_who_owns_it() -> None:
    for row in rulebook().table(EditRule):
        assert row.fix.endswith("."), row.id
        assert row.owner


def requirement(**changes: object) -> Requirement:
    data: dict[str, object] = {
        "key": "readiness.authorized_center",
        "kind": "readiness",
        "met": False,
        "enforcement": Enforcement.HOLD,
        "owner": "coordinator",
        "title": "authorised centre of this product",
        "missing": "certificate",
        "fix": "file it",
        "rule": "certifications.x",
        "citation": "G195",
        "denial": 1,
    }
    return Requirement(**{**data, **changes})  # type: ignore[arg-type]


def test_a_service_behind_a_closed_gate_holds_its_claim_only() -> None:
    story = mcl_inpatient()
    claims = build_claims(story.record(), site(), rulebook(), {Stage.APHERESIS: (requirement(denial=5),)})
    held = {claim.key: [e.denial for e in claim.errors] for claim in claims if claim.errors}
    assert held == {"A/1": [5]}


def test_a_stage_whose_services_folded_holds_the_stay() -> None:
    story = mcl_inpatient(-3)
    claims = build_claims(story.record(), site(), rulebook(), {Stage.LYMPHODEPLETION: (requirement(),)})
    assert [claim.key for claim in claims if claim.errors] == ["C/1"]


def test_documented_hand_overs_silence_the_timeline() -> None:
    story = outpatient()
    for step in CUSTODY:
        story.add(
            "cart.custody.recorded", story.at(-20), step=step, coi_id="COI1", at=story.at(-20), by="S1", location="lab"
        )
    assert "timeline_undocumented" not in edit_ids(story.infused("outpatient").claim("C/1"))


def test_a_documented_separate_evaluation_is_billed_with_modifier_25() -> None:
    story = (
        outpatient()
        .infused("outpatient")
        .evidence("separate_evaluation", day=0)
        .charge("1", 0, "0510", "310.00", "99214")
    )
    claim = story.claim("C/1")
    assert [(line.modifiers, line.charge) for line in claim.lines if line.hcpcs == "99214"] == [
        (("25",), Decimal("310.00"))
    ]
    assert "evaluation_not_documented" not in edit_ids(claim)


def test_without_a_price_the_claim_is_held_and_nothing_is_guessed() -> None:
    bare = site().model_copy(update={"charges": ()})
    (claim,) = build_claims(Story().referral().collection().record(), bare, rulebook())
    assert "no_charge" in {edit.id for edit in claim.errors}


def test_a_posted_charge_wins_over_the_chargemaster_and_is_used_once() -> None:
    story = Story().referral(coverage={"payer": "aetna", "member_id": "W"}).authorization()
    story.dose("fludarabine", -5, "20", "130").charge("1", -5, "0636", "1000.00", "J9185", 3)
    claim = story.claim("B/1")
    assert [line.charge for line in claim.lines if line.hcpcs == "J9185"] == [Decimal("333.33"), Decimal("666.67")]


def test_a_corrected_charge_is_billed_as_corrected() -> None:
    story = mcl_inpatient().charge("1", 0, "0250", "100.00", admission_id="ADM1")
    assert any(line.charge == Decimal("100.00") for line in story.claim("C/1").lines)
    assert any(
        line.charge == Decimal("70.00")
        for line in story.charge("1", 0, "0250", "70.00", admission_id="ADM1").claim("C/1").lines
    )


def test_a_missing_row_holds_the_claim_and_names_the_date() -> None:
    texts = {p.name: p.read_text() for p in RULES.glob("*.toml") if p.name != "coverage.toml"}
    texts["codes.toml"] = texts["codes.toml"].replace('code = "38228"', 'code = "38228"\neffective_to = 2026-01-31', 1)
    claim = next(c for c in outpatient().infused("outpatient").claims(rules=load(texts)) if c.key == "C/1")
    edits = [edit for edit in claim.errors if edit.id == "no_rule"]
    assert edits[0].severity is EditSeverity.ERROR
    assert "2026-06-15" in edits[0].message


def test_no_edit_names_a_person_or_a_bag() -> None:
    for _, key, story in (*ERRORS, *WARNINGS):
        text = " ".join(edit.message for edit in story().claim(key).edits)
        assert not any(secret in text for secret in ("LOT20260A", "COI1", "BAG1", "Columbus", "1EG4TE5MK73", "PA123"))
