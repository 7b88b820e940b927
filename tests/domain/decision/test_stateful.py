"""Any encounter that can be reported, valid or not: after every step, nothing is cleared that is held and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.encounter.facts import Fact
from domain.events import EventData, InvalidEvent, parse_data
from domain.events.governance import CorrectionMade
from tests.domain.decision.invariants import check
from tests.kit.paths import AT, sign
from tests.kit.stories import BAG, Story

Deed = Callable[[Story, int], object]


def _fail(story: Story, day: int, **changes: Any) -> object:
    data = {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "no growth"}
    return story.report(day, "cart.manufacturing.failed", data | changes)


def _plan(**change: Any) -> Deed:
    return lambda story, day: story.report(day, "cart.plan.changed", change | {"reason": "reviewed"})


def _charge(story: Story, day: int) -> object:
    charge = {"charge_id": f"CHG-{day}", "revenue_code": "0871", "hcpcs": "38206", "units": 1, "amount": "4321.00"}
    return story.report(day, "cart.charge.posted", charge | {"date": story.on(day)})


VALID: tuple[Deed, ...] = (
    lambda s, d: s.refer(d),
    lambda s, d: s.refer(d, coverage={"payer": "aetna", "member_id": "X"}),
    lambda s, d: s.refer(d, indication="b_all", diagnosis="C91.02"),
    lambda s, d: s.authorize(d, d, d + 40),
    lambda s, d: s.report(d, "cart.authorization.decided", {"number": "AUTH-1", "decision": "denied"}),
    lambda s, d: s.book("apheresis", d + 5, d),
    lambda s, d: s.book("lymphodepletion", d + 15, d),
    lambda s, d: s.book("infusion", d + 20, d, setting="outpatient"),
    lambda s, d: s.collect(d),
    lambda s, d: s.collect(d, ordinal=2, din="DIN-2"),
    lambda s, d: s.transfer(d, "courier_pickup"),
    lambda s, d: s.release(d),
    lambda s, d: s.receive(d),
    lambda s, d: s.transfer(d, "thaw", bag_id=BAG),
    lambda s, d: s.transfer(d, "bedside_check", bag_id=BAG, second_verifier="staff-2"),
    lambda s, d: s.deplete(d),
    lambda s, d: s.admit(d),
    lambda s, d: s.admit(d, stay="ADM-2", facility="county_hospital"),
    lambda s, d: s.discharge(d),
    lambda s, d: s.report(d, "cart.admission.cancelled", {"admission_id": "ADM-1"}),
    lambda s, d: s.code(d),
    lambda s, d: s.infuse(d),
    lambda s, d: s.infuse(d, access="central", setting="outpatient"),
    lambda s, d: s.infuse(d, what="stopped", reason="reaction"),
    lambda s, d: s.assess(d, crs=2),
    lambda s, d: s.override(d, "apheresis.eligibility.ecog", d + 5),
    lambda s, d: s.withdraw(d, "progression"),
    lambda s, d: s.withdraw(d, "death"),
    lambda s, d: s.report(d, "cart.manufacturing.delayed", {"new_release_date": s.on(d + 30)}),
    lambda s, d: sign(s, d, "release"),
    lambda s, d: sign(s, d, "expanded_access"),
    lambda s, d: sign(s, d, "destroy"),
    _fail,
    lambda s, d: _fail(s, d, out_of_specification=True, bag_id=BAG),
    _charge,
    _plan(facilities={"apheresis": "st_mary", "infusion": "lakeside"}),
    _plan(product="breyanzi", indication="mcl"),
)

WRONG: tuple[Deed, ...] = (
    lambda s, d: s.refer(d, facilities={"apheresis": "lakeside", "infusion": "st_mary"}, evidence=[]),
    lambda s, d: s.collect(d, ordinal=2, coi="COI-2", din="DIN-2"),
    lambda s, d: s.release(d, bag="BAG-2", lot="OTHER"),
    lambda s, d: s.release(d, viable_car_cells=900_000_000),
    lambda s, d: s.receive(d, lot="OTHER", seal_intact=False),
    lambda s, d: s.receive(d, coi_id="COI-2"),
    lambda s, d: s.transfer(d, "bedside_check", bag_id=BAG),
    lambda s, d: s.dose(d, "cyclophosphamide", 1665),
    lambda s, d: s.infuse(d, label={"hcpcs": "Q2041"}),
    lambda s, d: s.infuse(d, bag="BAG-2", verified_by=[]),
    lambda s, d: s.override(d, "infusion.identity.label.hcpcs", d + 50),
    lambda s, d: s.report(d, "cart.appointment.cancelled", {"appointment_id": "APT-unknown"}),
)
"""Events that the catalogue takes and that contradict each other, the label or the order of things."""

REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cart.infusion.completed", {"bag_id": BAG}),
    ("cart.custody.recorded", {"step": "teleported", "coi_id": "COI-1", "at": "2026-06-01T09:00:00Z", "by": "x"}),
    ("cart.product.released", {"coi_id": "COI-1", "bag_id": BAG, "lot": "-", "ndc": "1", "viable_car_cells": -1}),
    ("cart.correction.made", {"of": {"source": "urn:test", "id": "id000"}, "reason": "x", "signer": "y"}),
    ("cart.nothing.known", {}),
)
"""Events that the catalogue refuses."""


class AnyEncounter(RuleBasedStateMachine):
    """One encounter, reported step by step."""

    @initialize(stage=st.sampled_from(["nothing", *AT]))
    def begin(self, stage: str) -> None:
        """At the very beginning, or in a stage that was reached in order."""
        self.story, self.day = (Story(), -60) if stage == "nothing" else (AT[stage][0](), AT[stage][1])

    @rule(deed=st.sampled_from(VALID), pause=st.integers(0, 6))
    def something_happens(self, deed: Deed, pause: int) -> None:
        self.day += pause
        deed(self.story, self.day)

    @rule(deed=st.sampled_from(WRONG), pause=st.integers(0, 3))
    def something_goes_wrong(self, deed: Deed, pause: int) -> None:
        self.day += pause
        deed(self.story, self.day)

    @rule(days=st.integers(1, 45))
    def time_passes(self, days: int) -> None:
        self.day += days

    @precondition(lambda self: self.story.facts)
    @rule(data=st.data(), retract=st.booleans())
    def correct(self, data: st.DataObject, retract: bool) -> None:
        """Any earlier event is taken back, or corrected to its own content (which restores one that was taken back)."""
        of = data.draw(st.sampled_from([f for f in self.story.facts if not isinstance(f.data, CorrectionMade)]))
        body: dict[str, Any] = {"of": {"source": of.source, "id": of.id}, "reason": "mistake", "signer": "staff-9"}
        same = of.data.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.story.report(
            self.day, "cart.correction.made", body | ({"retract": True} if retract else {"replacement": same})
        )

    @precondition(lambda self: self.story.facts)
    @rule(data=st.data())
    def the_same_comes_again(self, data: st.DataObject) -> None:
        before = self.story.decide(self.day)
        again = data.draw(st.sampled_from(self.story.facts))
        twice = replace(self.story, facts=[*self.story.facts, again])
        assert twice.decide(self.day) == before

    @precondition(lambda self: self.story.facts)
    @rule(random=st.randoms(use_true_random=False))
    def it_came_in_another_order(self, random: Any) -> None:
        turned: list[Fact[EventData]] = list(self.story.facts)
        random.shuffle(turned)
        assert replace(self.story, facts=turned).decide(self.day) == self.story.decide(self.day)

    @rule(event=st.sampled_from(REFUSED))
    def a_refused_event_changes_nothing(self, event: tuple[str, dict[str, Any]]) -> None:
        with pytest.raises(InvalidEvent):
            parse_data(*event)

    @rule(kind=st.sampled_from([("coi", "COI-1"), ("din", "DIN-1"), ("bag", BAG)]), known=st.booleans())
    def another_patient_carries_an_identifier(self, kind: tuple[str, str], known: bool) -> None:
        self.story = replace(self.story, shared=frozenset({kind}) if known else frozenset())

    @invariant()
    def what_must_hold_holds(self) -> None:
        check(self.story, self.story.decide(self.day))


AnyEncounter.TestCase.settings = settings(max_examples=100, stateful_step_count=18, deadline=None)
TestAnyEncounter = AnyEncounter.TestCase
