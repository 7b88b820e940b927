"""Authorizations: who asks for one, which days it covers, product, decisions, and the fresh one after a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events.base import Stage
from tests.kit.stories import Story, holds, kinds, until_collected, until_received

APPROVED = "apheresis.authorization.approved"


def referred(payer: str = "aetna") -> Story:
    story = Story()
    story.refer(coverage={"payer": payer, "member_id": "1EG4TE5MK73"})
    return story


@pytest.mark.parametrize(
    ("payer", "required"),
    [("medicare", False), ("medicare_advantage", True), ("uhc", True), ("aetna", True), ("cigna", True)],
)
def test_only_fee_for_service_medicare_requires_none(payer: str, required: bool) -> None:
    assert (APPROVED in holds(referred(payer).decide(-40))) is required


@pytest.mark.parametrize(
    ("first", "last", "open_"), [(-24, -24, True), (-23, 60, False), (-60, -25, False), (-60, -24, True)]
)
def test_both_ends_of_an_approval_are_inclusive(first: int, last: int, open_: bool) -> None:
    story = referred()
    story.book("apheresis", -24, -42)
    story.authorize(-41, first, last)

    assert (Stage.APHERESIS in story.decide(-39).cleared) is open_


@pytest.mark.parametrize(("last", "open_"), [(-1, False), (0, True)])
def test_once_the_infusion_is_booked_the_approval_must_cover_it(last: int, open_: bool) -> None:
    story = referred()
    story.book("apheresis", -24, -42)
    story.book("infusion", 0, -42, setting="inpatient")
    story.authorize(-41, -41, last)

    assert (Stage.APHERESIS in story.decide(-39).cleared) is open_


def test_moving_the_infusion_out_of_the_approval_closes_the_gates_before_it() -> None:
    story = until_received("aetna")
    booking = {"appointment_id": "APT-infusion--20-0", "starts_at": story.at(41).isoformat()}
    story.book("infusion", 0, -20, setting="inpatient")
    assert Stage.LYMPHODEPLETION in story.decide(-6).cleared
    story.report(-6, "cart.appointment.rescheduled", booking, hour=15)

    decision = story.decide(-6)

    assert "lymphodepletion.authorization.approved" in holds(decision)
    assert Stage.APHERESIS in decision.cleared, "the collection was cleared on its day and stays so"
    story.authorize(-5, -42, 60, number="AUTH-1")
    assert Stage.LYMPHODEPLETION in story.decide(-5).cleared


def test_an_approval_that_ends_before_the_expected_infusion_warns() -> None:
    story = referred()
    story.book("apheresis", -24, -42)
    story.authorize(-41, -41, -10)

    decision = story.decide(-39)

    assert Stage.APHERESIS in decision.cleared
    assert kinds(decision)["authorization_expiring"].severity == "warning"


@pytest.mark.parametrize(
    ("decision", "kind", "severity"),
    [("pended", "authorization_pended", "warning"), ("denied", "authorization_denied", "critical")],
)
def test_pended_and_denied_requests_hold_and_state_why(decision: str, kind: str, severity: str) -> None:
    story = referred()
    story.report(-41, "cart.authorization.decided", {"number": "AUTH-1", "decision": decision})

    decided = story.decide(-40)

    assert APPROVED in holds(decided)
    assert kinds(decided)[kind].severity == severity


def test_a_denial_after_an_approval_closes_the_gate_again() -> None:
    story = referred()
    story.authorize(-42, -42, 40)
    assert APPROVED not in holds(story.decide(-41))
    story.report(-40, "cart.authorization.decided", {"number": "AUTH-1", "decision": "denied"})
    assert "denied" in holds(story.decide(-39))[APPROVED].requirement.missing


def test_an_approval_for_another_product_does_not_count() -> None:
    story = referred()
    story.authorize(-42, -42, 40, product="yescarta")

    decision = story.decide(-41)

    assert "another" in holds(decision)[APPROVED].requirement.missing
    assert kinds(decision)["authorization_product"].denial == 9


def failed(payer: str = "aetna") -> Story:
    story = until_collected(payer)
    story.report(
        -10, "cart.manufacturing.failed", {"coi_id": "COI-1", "at": story.at(-10).isoformat(), "reason": "no growth"}
    )
    return story


def test_failed_manufacturing_requires_a_new_approval_that_names_the_first() -> None:
    story = failed()
    replacement = "apheresis.authorization.replacement"

    assert replacement in holds(story.decide(-9))
    assert kinds(story.decide(-9))["manufacturing_failed"].severity == "critical"
    story.authorize(-8, -8, 60, number="AUTH-2", replaces="AUTH-1")
    decision = story.decide(-7)
    assert decision.stage is Stage.APHERESIS
    assert decision.holds == ()


def test_an_amended_approval_counts_as_fresh() -> None:
    story = failed()
    story.authorize(-8, -42, 60, number="AUTH-1")

    assert story.decide(-7).holds == ()
    assert "authorization_reference" not in kinds(story.decide(-7))


def test_a_fresh_approval_without_reference_warns() -> None:
    story = failed()
    story.authorize(-8, -8, 60, number="AUTH-2")

    decision = story.decide(-7)

    assert decision.holds == ()
    assert "authorization_reference" in kinds(decision)


def test_medicare_needs_no_fresh_approval() -> None:
    assert failed("medicare").decide(-9).holds == ()


def test_the_first_collection_stays_cleared_after_the_failure() -> None:
    story = failed()
    story.collect(0, ordinal=2)

    decision = story.decide(1)

    uncleared = [alert for alert in decision.alerts if alert.kind == "performed_uncleared"]
    assert len(uncleared) == 1, "the second collection went ahead without the fresh approval, the first did not"
    first = next(fact for fact in story.facts if fact.type == "cart.apheresis.completed")
    assert first.event_id not in uncleared[0].events
    held = {claim.key: [edit.id for edit in claim.errors] for claim in decision.claims}
    assert held["A/1"] == []
    assert "performed_uncleared" in held["A/2"]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-60, 0), st.integers(0, 90)), min_size=1, max_size=4))
def test_more_approvals_never_close_a_gate(spans: list[tuple[int, int]]) -> None:
    story = referred()
    story.book("apheresis", -24, -42)
    cleared: set[Any] = set()
    for number, (first, length) in enumerate(spans):
        story.authorize(-41, first, first + length, number=f"AUTH-{number}")
        now = story.decide(-40).cleared
        assert cleared <= now
        cleared = set(now)
    assert (Stage.APHERESIS in cleared) is any(first <= -24 <= first + length for first, length in spans)
