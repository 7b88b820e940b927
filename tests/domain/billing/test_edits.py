"""Ways to break a claim, and the edit that stops each: the twelve denials of the guide and errors that a validator misses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.billing import build_claims
from domain.billing.claims_due import cases
from domain.billing.edits import find_edits
from domain.billing.model import EditSeverity
from domain.encounter.model import Enforcement, Requirement
from domain.rulebook import load
from domain.rulebook.rows import EditRule
from tests.domain.billing.alterations import ALTERED, Altered
from tests.domain.billing.breaks import ERRORS, WARNINGS, Charted, outpatient
from tests.domain.billing.stories import Story, b_all_inpatient, edit_ids, error_ids, mcl_inpatient
from tests.kit.files import RULEBOOK
from tests.kit.rules import rulebook
from tests.kit.site import site


@pytest.mark.parametrize("broken", ERRORS, ids=lambda b: b.what)
def test_a_broken_claim_is_held(broken: Charted) -> None:
    assert broken.edit in error_ids(broken.story().claim(broken.key))


@pytest.mark.parametrize("broken", WARNINGS, ids=lambda b: b.what)
def test_a_doubtful_claim_shows_it(broken: Charted) -> None:
    claim = broken.story().claim(broken.key)
    assert broken.edit in edit_ids(claim) - error_ids(claim)


@pytest.mark.parametrize("altered", ALTERED, ids=lambda a: a.what)
def test_a_claim_altered_by_hand_is_held(altered: Altered) -> None:
    case = next(c for c in cases(mcl_inpatient().record(), site(), rulebook()) if c.claim.key == altered.key)
    before = {edit.id for edit in find_edits(case)}
    after = {
        edit.id for edit in find_edits(replace(case, claim=altered.change(case.claim))) if edit.severity == "error"
    }
    assert altered.edit not in before
    assert altered.edit in after


def test_complete_and_documented_claims_have_none_of_these_errors() -> None:
    for claim in mcl_inpatient().claims():
        assert claim.errors == ()


def test_every_denial_of_the_guide_has_an_edit() -> None:
    assert {row.denial for row in rulebook().table(EditRule) if row.denial} == set(range(1, 13))


def test_every_edit_has_a_fix_and_an_owner() -> None:
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
        "title": "authorized center of this product",
        "missing": "certificate",
        "fix": "file it",
        "rule": "certifications.x",
        "citation": "G195",
        "denial": 1,
    }
    return Requirement(**{**data, **changes})  # type: ignore[arg-type]


def test_a_service_without_clearance_holds_its_claim_only() -> None:
    story = mcl_inpatient()
    event = story.record().collections[0].event_id
    claims = build_claims(story.record(), site(), rulebook(), {event: (requirement(denial=5),)})
    held = {claim.key: [e.denial for e in claim.errors] for claim in claims if claim.errors}
    assert held == {"A/1": [5]}


def test_a_stage_whose_services_are_billed_with_the_stay_holds_the_stay() -> None:
    story = mcl_inpatient(-3)
    event = story.record().lymphodepletion[0].event_id
    claims = build_claims(story.record(), site(), rulebook(), {event: (requirement(),)})
    assert [claim.key for claim in claims if claim.errors] == ["C/1"]


def test_documented_transfers_clear_the_timeline_edit() -> None:
    for payer in ("medicare", "uhc"):
        story = outpatient(payer).handed_over().infused("outpatient")
        assert not {"timeline_undocumented", "timeline_incomplete"} & edit_ids(story.claim("C/1"))


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


def test_a_posted_charge_has_priority_over_the_chargemaster_and_is_used_once() -> None:
    story = Story().referral(coverage={"payer": "aetna", "member_id": "W"}).authorization()
    story.dosed("fludarabine", -5, "20", "130").charge("1", -5, "0636", "1000.00", "J9185", 3)
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
    texts = {p.name: p.read_text() for p in RULEBOOK.glob("*.toml") if p.name != "coverage.toml"}
    texts["codes.toml"] = texts["codes.toml"].replace('code = "38228"', 'code = "38228"\neffective_to = 2026-01-31', 1)
    claim = next(c for c in outpatient().infused("outpatient").claims(rules=load(texts)) if c.key == "C/1")
    edits = [edit for edit in claim.errors if edit.id == "no_rule"]
    assert edits[0].severity is EditSeverity.ERROR
    assert "2026-06-15" in edits[0].message


def test_no_edit_names_a_person_or_a_bag() -> None:
    for broken in (*ERRORS, *WARNINGS):
        text = " ".join(edit.message for edit in broken.story().claim(broken.key).edits)
        assert not any(
            secret in text for secret in ("KTA0001", "COI-1", "BAG-1", "Springfield", "1EG4TE5MK73", "PA123")
        )


def signed(story: Story, day: int, hold: str = "claim.C.1.regimen_extra_dose") -> Story:
    when = story.at(day, 23)
    return story.fact(
        "cart.hold.overridden",
        when,
        hold=hold,
        reason="confirmed with physician",
        role="pharmacist",
        signer="S1",
        expires=story.at(day + 30),
    )


def test_a_signature_lets_three_documented_doses_be_billed_as_given() -> None:
    claim = signed(b_all_inpatient((-4, -3, -2)), 20).claim("C/1")
    assert "regimen_extra_dose" in edit_ids(claim) - error_ids(claim)
    assert "signed off by pharmacist" in next(e.message for e in claim.edits if e.id == "regimen_extra_dose")


def test_a_signature_ends_when_another_dose_is_charted_and_never_covers_another_claim_or_error() -> None:
    later = signed(b_all_inpatient((-4, -3, -2)), -3)
    assert "regimen_extra_dose" in error_ids(later.claim("C/1"))
    other = signed(b_all_inpatient((-4, -3, -2)), 20, "claim.A.1.regimen_extra_dose")
    assert "regimen_extra_dose" in error_ids(other.claim("C/1"))
    wrong = signed(outpatient().infused("outpatient", bag="BAG9"), 20, "claim.C.1.release_missing")
    assert "release_missing" in error_ids(wrong.claim("C/1"))
