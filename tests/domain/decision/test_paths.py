"""The ways an encounter goes: overrides, moves, failures, transfer, switch, withdrawal, death, readmission, closure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.encounter.model import Outcome
from domain.events.base import Stage
from tests.kit.patient import SECRETS
from tests.kit.stories import (
    BAG,
    Story,
    holds,
    kinds,
    until_collected,
    until_infused,
    until_received,
    whole,
)


def test_an_empty_record_waits_for_a_referral() -> None:
    decision = Story().decide(0)

    assert (decision.stage, decision.product, decision.payer, decision.payer_class) == (
        Stage.APHERESIS,
        "unknown",
        "unknown",
        "unknown",
    )
    assert set(holds(decision)) == {"apheresis.data.referral"}
    assert decision.alerts == ()
    assert decision.cleared == frozenset()


@pytest.mark.parametrize("stage", ["apheresis", "lymphodepletion", "infusion"])
def test_a_booking_may_come_before_its_referral(stage: str) -> None:
    story = Story()
    story.book(stage, -24, -40)

    decision = story.decide(-39)

    assert decision.stage is Stage.APHERESIS
    assert {"referral_missing"} <= set(kinds(decision))
    critical = "uncleared_collection_booked" if stage == "apheresis" else "uncleared_service_booked"
    assert kinds(decision)[critical].severity == "critical"
    assert decision.claims == ()
    story.refer(-38)
    assert "referral_missing" not in kinds(story.decide(-37))


STAGES: list[tuple[Callable[[], Story], Stage]] = [
    (lambda: referred(), Stage.APHERESIS),
    (until_collected, Stage.MANUFACTURING),
    (until_received, Stage.LYMPHODEPLETION),
    (lambda: depleted(), Stage.INFUSION),
    (until_infused, Stage.MONITORING),
]


def referred() -> Story:
    story = Story()
    story.refer()
    return story


def depleted() -> Story:
    story = until_received()
    story.deplete()
    return story


@pytest.mark.parametrize(("make", "stage"), STAGES, ids=lambda value: getattr(value, "value", "story"))
def test_the_stage_is_the_first_that_has_not_happened(make: Callable[[], Story], stage: Stage) -> None:
    assert make().decide(0).stage is stage


@pytest.mark.parametrize(("make", "stage"), STAGES[:4], ids=lambda value: getattr(value, "value", "story"))
@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("choice", Outcome.WITHDRAWN),
        ("progression", Outcome.WITHDRAWN),
        ("death", Outcome.DECEASED),
        ("product_unusable", Outcome.PRODUCT_LOST),
    ],
)
def test_a_withdrawal_closes_at_every_stage_before_the_infusion(
    make: Callable[[], Story], stage: Stage, reason: str, outcome: Outcome
) -> None:
    """After a day of grace, and after what was performed is billed; later gates fall silent."""
    story = make()
    story.book("follow_up", 20, -3)
    story.withdraw(-1, reason)

    soon, later = story.decide(-1), story.decide(0)

    assert soon.outcome is None
    assert soon.stage is stage
    assert {"withdrawn", "withdrawn_booking"} <= set(kinds(soon))
    assert not [hold for hold in soon.holds if hold.scope == "encounter"]
    assert later.outcome is outcome
    assert later.stage is Stage.CLOSED
    assert all(claim.ready and not claim.errors for claim in later.claims)


def test_a_withdrawal_reported_late_leaves_a_day_for_other_late_events() -> None:
    story = referred()
    withdrawal = {"reason": "choice", "at": story.at(-30).isoformat()}
    story.report(-30, "cart.encounter.withdrawn", withdrawal, received=10)

    assert story.decide(10).outcome is None
    assert story.decide(11).outcome is Outcome.WITHDRAWN


def test_a_withdrawal_waits_for_the_discharge_and_its_claim() -> None:
    story = until_received()
    story.admit(-6)
    story.deplete()
    story.withdraw(-1, "progression")
    assert story.decide(20).outcome is None
    story.discharge(2)
    assert story.decide(20).outcome is None, "the stay is not coded yet"
    story.code(3, procedures=[])
    decision = story.decide(20)
    assert (decision.outcome, decision.holds) == (Outcome.WITHDRAWN, ())


def test_a_death_after_the_infusion_closes_without_the_window() -> None:
    story = until_infused()
    story.withdraw(6, "death")
    story.discharge(6, status="20")
    story.code(7)

    assert story.decide(8).outcome is Outcome.DECEASED


def test_a_withdrawal_after_the_infusion_keeps_the_window() -> None:
    story = whole()
    story.withdraw(14, "choice")

    assert story.decide(20).outcome is None
    assert story.decide(31).outcome is Outcome.COMPLETED


def test_closure_waits_for_coding_and_a_late_document_reopens() -> None:
    story = whole()
    coding = story.facts.pop()
    assert story.decide(35).outcome is None
    story.facts.append(coding)
    assert story.decide(35).outcome is Outcome.COMPLETED
    story.admit(20, stay="ADM-2")
    reopened = story.decide(35)
    assert (reopened.outcome, reopened.stage) == (None, Stage.MONITORING)
    assert "readmission" in kinds(reopened)


def test_a_readmission_elsewhere_is_not_ours() -> None:
    story = whole()
    story.admit(20, stay="ADM-2", facility="somewhere")

    assert {"readmission_elsewhere"} <= set(kinds(story.decide(21)))
    assert "readmission" not in kinds(story.decide(21))


@pytest.mark.parametrize(("day", "is_one"), [(1, True), (30, True), (31, False)])
def test_the_readmission_window_is_inclusive(day: int, is_one: bool) -> None:
    story = whole()
    story.facts = [fact for fact in story.facts if not fact.type.startswith("cart.admission")]
    story.admit(day, stay="ADM-2")

    assert ("readmission" in kinds(story.decide(day))) is is_one


def test_a_conversion_to_inpatient_on_day_0_is_no_readmission() -> None:
    story = depleted()
    story.admit(0, **{"class": "outpatient", "at": story.at(0, 8).isoformat()})
    story.infuse(setting="outpatient")
    change = {"admission_id": "ADM-1", "at": story.at(0, 18).isoformat(), "class": "inpatient"}
    story.report(0, "cart.admission.changed", change, hour=18)

    assert "readmission" not in kinds(story.decide(1))


def test_a_rescheduled_collection_is_judged_for_its_new_day() -> None:
    story = Story()
    story.refer(coverage={"payer": "aetna", "member_id": "X"})
    story.authorize(-42, -42, -20)
    story.book("apheresis", -24, -40)
    assert Stage.APHERESIS in story.decide(-39).cleared
    move = {"appointment_id": "APT-apheresis--40--24", "starts_at": story.at(-19).isoformat()}
    story.report(-38, "cart.appointment.rescheduled", move)

    decision = story.decide(-37)

    assert Stage.APHERESIS not in decision.cleared
    assert "uncleared_collection_booked" in kinds(decision)


@pytest.mark.parametrize("what", ["cancelled", "missed"])
def test_a_lost_slot_requires_a_new_one_counted_from_the_loss(what: str) -> None:
    story = referred()
    story.book("apheresis", -24, -40)
    story.report(-24, f"cart.appointment.{what}", {"appointment_id": "APT-apheresis--40--24"})

    decision = story.decide(-23)

    assert "apheresis_undocumented" not in kinds(decision)
    assert "apheresis_unbooked" not in kinds(decision)
    assert ("appointment_missed" in kinds(decision)) is (what == "missed")
    assert "apheresis_unbooked" in kinds(story.decide(-9))


def test_a_short_collection_repeated_next_day_is_one_attempt() -> None:
    story = until_collected()
    story.collect(-23, ordinal=2)
    story.release()

    decision = story.decide(-7)

    assert decision.stage is Stage.LYMPHODEPLETION
    assert [claim.key for claim in decision.claims] == ["A/1", "A/2"]


def test_failed_manufacturing_returns_to_apheresis_and_goes_on() -> None:
    story = until_collected()
    fact = {"coi_id": "COI-1", "at": story.at(-10).isoformat(), "reason": "no growth"}
    story.report(-10, "cart.manufacturing.failed", fact)
    assert story.decide(-9).stage is Stage.APHERESIS
    story.book("apheresis", -4, -9)
    assert "manufacturing_failed" in kinds(story.decide(-8))
    story.collect(-4, ordinal=2, din="DIN-2")
    second = story.decide(-3)
    assert second.stage is Stage.MANUFACTURING
    assert "manufacturing_failed" not in kinds(second)
    story.release(12)
    assert story.decide(13).stage is Stage.LYMPHODEPLETION


def test_lymphodepletion_given_before_a_failure_does_not_count_for_the_next_product() -> None:
    story = until_collected()
    story.deplete(-20)
    story.report(-10, "cart.manufacturing.failed", {"coi_id": "COI-1", "at": story.at(-10).isoformat(), "reason": "x"})
    story.collect(-5, ordinal=2, din="DIN-2")
    story.release(10)

    decision = story.decide(11)
    assert decision.stage is Stage.LYMPHODEPLETION
    assert "performed_uncleared" in kinds(decision), "it was given before any product was at the center"
    assert ["performed_uncleared"] in [[e.id for e in c.errors] for c in decision.claims if c.letter == "B"]


@pytest.mark.parametrize("loss", ["fails", "destroyed"])
def test_what_was_cleared_on_its_day_stays_so_when_the_product_is_lost_later(loss: str) -> None:
    story = depleted()
    if loss == "fails":
        failure = {"coi_id": "COI-1", "at": story.at(-1).isoformat(), "reason": "x"}
        story.report(-1, "cart.manufacturing.failed", failure)
    else:
        data = {"bag_id": BAG, "disposition": "destroy", "reason": "x", "role": "director", "signer": "staff-9"}
        story.report(-1, "cart.disposition.signed", data)

    decision = story.decide(0)

    assert decision.stage is Stage.APHERESIS
    assert "performed_uncleared" not in kinds(decision)
    assert [claim.errors for claim in decision.claims] == [(), ()]
    story.collect(5, ordinal=2, din="DIN-2")
    assert story.decide(6).stage is Stage.MANUFACTURING


def test_a_disposition_signed_late_takes_no_later_collection_with_it() -> None:
    story = until_received()
    story.collect(10, ordinal=2, din="DIN-2")
    data = {"bag_id": BAG, "disposition": "destroy", "reason": "x", "role": "director", "signer": "staff-9"}
    story.report(15, "cart.disposition.signed", data)

    assert story.decide(16).stage is Stage.MANUFACTURING


def test_an_infusion_booked_at_another_center_than_planned_opens_an_alert() -> None:
    story = depleted()
    story.book("infusion", 0, -2, facility="lakeside", setting="inpatient")

    assert "booking_elsewhere" in kinds(story.decide(-1))


def test_a_failure_within_specification_is_not_rescued_by_a_disposition() -> None:
    story = until_collected()
    story.report(-10, "cart.manufacturing.failed", {"coi_id": "COI-1", "at": story.at(-10).isoformat(), "reason": "x"})
    data = {"bag_id": BAG, "disposition": "expanded_access", "reason": "x", "role": "director", "signer": "staff-9"}
    story.report(-9, "cart.disposition.signed", data)

    assert story.decide(-8).stage is Stage.APHERESIS


def test_a_product_out_of_specification_goes_on_under_expanded_access_alone() -> None:
    story = until_collected()
    fact = {"coi_id": "COI-1", "at": story.at(-9).isoformat(), "reason": "viability", "out_of_specification": True}
    story.report(-9, "cart.manufacturing.failed", fact | {"bag_id": BAG})
    assert story.decide(-9).stage is Stage.APHERESIS
    data = {
        "bag_id": BAG,
        "disposition": "expanded_access",
        "reason": "agreed",
        "role": "director",
        "signer": "staff-9",
    }
    story.report(-9, "cart.disposition.signed", data, hour=15)
    assert story.decide(-9).stage is Stage.MANUFACTURING
    story.release()
    story.receive()

    decision = story.decide(-5)

    assert decision.stage is Stage.LYMPHODEPLETION
    assert Stage.LYMPHODEPLETION in decision.cleared
    assert not [hold for hold in decision.holds if hold.requirement.kind == "identity"]


def test_lymphodepletion_before_the_product_is_there_is_never_shown_as_cleared() -> None:
    story = until_collected()
    story.release()
    story.deplete()
    story.receive(-3, **{"at": story.at(-3, 12).isoformat()})

    decision = story.decide(-1)

    assert decision.stage is Stage.INFUSION
    assert Stage.LYMPHODEPLETION not in decision.cleared
    assert "lymphodepletion.product.on_site" in holds(decision)
    assert "performed_uncleared" in kinds(decision)


@pytest.mark.parametrize(("day", "repeat"), [(11, False), (12, True)])
def test_an_infusion_more_than_fourteen_days_after_lymphodepletion_requires_a_repeat(day: int, repeat: bool) -> None:
    """The last dose is on day -3: day 11 is the fourteenth day after it."""
    story = depleted()
    story.book("infusion", day, -2, setting="inpatient")

    decision = story.decide(-1)

    assert ("lymphodepletion_repeat_due" in kinds(decision)) is repeat
    assert ("infusion.product.lymphodepletion_in_time" in holds(decision)) is repeat
    if repeat:
        story.deplete(day - 5)
        assert "lymphodepletion_repeat_due" not in kinds(story.decide(day - 1))


@pytest.mark.parametrize(("day", "fits"), [(-5, True), (-4, False), (-6, False)])
def test_lymphodepletion_is_planned_again_when_the_infusion_moves(day: int, fits: bool) -> None:
    story = until_received()
    story.book("lymphodepletion", day, -20)
    story.book("infusion", 0, -20, setting="inpatient")
    assert ("lymphodepletion_replan" not in kinds(story.decide(-6))) is fits
    move = {"appointment_id": "APT-infusion--20-0", "starts_at": story.at(day + 5).isoformat()}
    story.report(-6, "cart.appointment.rescheduled", move)
    assert "lymphodepletion_replan" not in kinds(story.decide(-6))


def test_a_product_that_is_not_there_on_the_booked_day_is_critical() -> None:
    story = until_collected()
    story.release()
    story.book("lymphodepletion", -5, -20)

    assert "uncleared_service_booked" not in kinds(story.decide(-6))
    decision = story.decide(-5, 1)
    assert kinds(decision)["uncleared_service_booked"].severity == "critical"
    assert "product_on_site_missing" in kinds(decision)
    story.receive(-5)
    assert not {"uncleared_service_booked", "product_on_site_missing"} & set(kinds(story.decide(-5)))


def test_a_cancelled_admission_leaves_no_stay() -> None:
    story = whole()
    story.admit(20, stay="ADM-2")
    assert story.decide(40).outcome is None
    story.report(21, "cart.admission.cancelled", {"admission_id": "ADM-2"})
    assert story.decide(40).outcome is Outcome.COMPLETED


def test_a_change_of_center_affects_later_gates_and_not_earlier_ones() -> None:
    story = until_received("aetna")
    plan = {"facilities": {"apheresis": "st_mary", "infusion": "lakeside"}, "reason": "nearer to home"}
    story.report(-6, "cart.plan.changed", plan, hour=15)

    decision = story.decide(-6)

    assert Stage.APHERESIS in decision.cleared
    assert Stage.LYMPHODEPLETION not in decision.cleared
    assert "lymphodepletion.readiness.authorized_center.infusion_facility" in holds(decision)


def test_a_change_of_product_applies_the_new_product_s_requirements() -> None:
    story = referred()
    story.report(-40, "cart.plan.changed", {"product": "yescarta", "reason": "diagnosis revised"})

    decision = story.decide(-39)

    assert decision.product == "yescarta"
    assert "apheresis.eligibility.indication" in holds(decision)


def test_an_infusion_stopped_midway_was_given_and_alerts() -> None:
    story = depleted()
    story.admit()
    story.infuse(what="stopped", reason="reaction")

    decision = story.decide(0)

    assert decision.stage is Stage.MONITORING
    assert kinds(decision)["infusion_stopped"].severity == "critical"


class TestOverrides:
    HOLD = "apheresis.eligibility.ecog"

    def held(self) -> Story:
        story = Story()
        story.refer(coverage={"payer": "aetna", "member_id": "X"}, evidence=story.documents(-47, "ecog"))
        story.authorize(-42, -42, 40)
        return story

    def test_it_opens_the_gate_and_stays_on_record(self) -> None:
        story = self.held()
        assert self.HOLD in holds(story.decide(-41))
        event = story.override(-41, self.HOLD, -20)

        decision = story.decide(-40)

        override = holds(decision)[self.HOLD].override
        assert override is not None
        assert (override.event, override.role) == (event, "medical director")
        assert Stage.APHERESIS in decision.cleared
        assert "evidence_missing" not in kinds(decision)

    def test_it_falls_when_it_runs_out(self) -> None:
        story = self.held()
        story.override(-41, self.HOLD, -30)

        assert Stage.APHERESIS in story.decide(-31).cleared
        decision = story.decide(-30, 9)
        assert Stage.APHERESIS not in decision.cleared
        assert "override_expired" in kinds(decision)
        assert "wake:override" in {d.key.rsplit(":", 1)[0] for d in story.decide(-31).deadlines}

    def test_an_override_expires_when_a_new_document_of_the_kind_arrives(self) -> None:
        story = self.held()
        story.override(-41, self.HOLD, 30)
        story.add(-39, "lvef", {"percent": 55})
        assert Stage.APHERESIS in story.decide(-38).cleared, "another document does not touch it"
        story.add(-37, "ecog", {"score": 4})
        assert Stage.APHERESIS not in story.decide(-36).cleared

    def test_what_was_performed_under_it_stays_cleared_after_it_ran_out(self) -> None:
        story = self.held()
        story.override(-41, self.HOLD, -20)
        story.collect()

        decision = story.decide(0)

        assert Stage.APHERESIS in decision.cleared
        assert "performed_uncleared" not in kinds(decision)
        assert decision.claims[0].errors == ()

    def test_a_late_signature_frees_the_claim(self) -> None:
        story = self.held()
        story.collect()
        held = story.decide(-20)
        assert [edit.id for edit in held.claims[0].errors] == ["performed_uncleared"]
        assert "claim.A.1.performed_uncleared" in holds(held)
        assert "claim_held" in kinds(held)
        story.override(-19, self.HOLD, 30)
        assert story.decide(-18).claims[0].errors == ()

    def test_a_certificate_has_no_exception(self) -> None:
        story = Story()
        facilities = {"apheresis": "lakeside", "infusion": "lakeside"}
        story.refer(coverage={"payer": "aetna", "member_id": "X"}, facilities=facilities)
        hold = "apheresis.readiness.authorized_center.infusion_facility"
        story.override(-41, hold, 30)

        decision = story.decide(-40)

        assert holds(decision)[hold].override is None
        assert "override_refused" in kinds(decision)


def test_three_doses_of_cyclophosphamide_in_b_all_are_a_safety_alert_and_never_silent() -> None:
    def story(edition: str) -> Story:
        given = until_received(indication="b_all", diagnosis="C91.02")
        given.edition = edition
        for day in (-4, -3, -2):
            given.dose(day, "fludarabine", 46.25)
            given.dose(day, "cyclophosphamide", 1665)
        return given

    alert = kinds(story("current").decide(-1))["dose_safety"]
    assert (alert.severity, alert.denial) == ("critical", 7)
    assert "dose_safety" not in kinds(story("guide").decide(-1))


def test_a_regimen_of_the_other_indication_is_questioned() -> None:
    story = until_received()
    for day in (-4, -3, -2):
        story.dose(day, "fludarabine", 46.25)
        story.dose(day, "cyclophosphamide", 925)
    story.infuse()

    alert = kinds(story.decide(0))["regimen_mismatch"]

    assert "below the label's" in alert.action.lower()
    assert "other days" in alert.action
    assert "regimen_mismatch" not in kinds(until_infused().decide(0))


def test_no_identity_is_in_the_decision() -> None:
    """Neither name, birth date, MRN nor member number is in any output of a decision."""
    story = until_infused("aetna", evidence=[])
    text = repr(story.decide(1))

    assert not [secret for secret in SECRETS if secret in text]
