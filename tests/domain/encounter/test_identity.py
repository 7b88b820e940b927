"""The chain of identity: every mismatch blocks, without override, and what resolves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.encounter.gates.chain import product_part
from domain.events.base import Stage
from tests.kit.stories import (
    BAG,
    Story,
    holds,
    kinds,
    until_collected,
    until_infused,
    until_received,
)

Wrong = Callable[[], Story]


def released(**changes: Any) -> Story:
    story = until_collected()
    story.release(**changes)
    story.receive()
    story.deplete()
    return story


def received(**changes: Any) -> Story:
    story = until_collected()
    story.release()
    story.receive(**changes)
    return story


def infused(**changes: Any) -> Story:
    story = until_received()
    story.deplete()
    story.admit()
    story.infuse(**changes)
    return story


MISMATCHES: dict[str, Wrong] = {
    "release.coi": lambda: released(coi_id="COI-2"),
    "release.ndc": lambda: released(ndc="71287-119-01"),
    "coi": lambda: received(coi_id="COI-2"),
    "lot": lambda: received(lot="OTHER"),
    "ndc": lambda: received(ndc="71287-119-01"),
    "din": lambda: received(din="DIN-2"),
    "label.coi": lambda: infused(label={"coi_id": "COI-2"}),
    "label.hcpcs": lambda: infused(label={"hcpcs": "Q2041"}),
    "label.ndc": lambda: infused(label={"ndc": "71287-119-01"}),
    "label.lot": lambda: infused(label={"lot": "OTHER"}),
    "label.bag": lambda: infused(bag="BAG-2"),
}


@pytest.mark.parametrize("name", sorted(MISMATCHES))
def test_a_mismatch_blocks_alerts_and_is_never_overridden(name: str) -> None:
    story = MISMATCHES[name]()

    decision = story.decide(1)

    found = [hold for hold in decision.holds if hold.id.endswith(f".identity.{name}")]
    assert found
    assert not any(hold.requirement.overridable for hold in found)
    assert kinds(decision)["identity_mismatch"].severity == "critical"
    assert kinds(decision)["quarantined_bag"].severity == "critical"
    assert Stage.INFUSION not in decision.cleared
    story.override(1, found[0].id, 90)
    refused = story.decide(2)
    assert holds(refused)[found[0].id].override is None
    assert "override_refused" in kinds(refused)


@pytest.mark.parametrize("name", sorted(MISMATCHES))
def test_a_signature_does_not_heal_a_mismatch(name: str) -> None:
    story = MISMATCHES[name]()
    for bag in (BAG, "BAG-2"):
        data = {"bag_id": bag, "disposition": "release", "reason": "reviewed", "role": "director", "signer": "staff-9"}
        story.report(2, "cart.disposition.signed", data)

    decision = story.decide(3)

    assert any(hold.id.endswith(f".identity.{name}") for hold in decision.holds)
    assert "quarantined_bag" not in kinds(decision)


def test_a_corrected_label_clears_the_hold() -> None:
    story = infused(label={"hcpcs": "Q2041"})
    wrong = story.facts[-1]
    assert "infusion.identity.label.hcpcs" in holds(story.decide(0))
    data = wrong.data.model_dump(mode="json", by_alias=True)
    data["label"]["hcpcs"] = "Q2053"
    correction = {"of": {"source": wrong.source, "id": wrong.id}, "reason": "misread", "signer": "staff-9"}
    story.report(1, "cart.correction.made", correction | {"replacement": data})

    decision = story.decide(1)

    assert not [hold for hold in decision.holds if hold.requirement.kind == "identity"]
    assert "identity_mismatch" not in kinds(decision)


CONDITIONS: dict[str, tuple[Wrong, str]] = {
    "temperature": (lambda: received(temperature={"min": -190, "max": -120}), "broken_chain_condition"),
    "seal": (lambda: received(seal_intact=False), "broken_chain_condition"),
    "refused": (lambda: received(accepted=False), "broken_chain_condition"),
    "cap": (lambda: released(viable_car_cells=200_000_001), "dose_above_cap"),
}


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_a_broken_condition_waits_for_a_signed_disposition(name: str) -> None:
    make, kind = CONDITIONS[name]
    story = make()
    decision = story.decide(-5)
    assert f"lymphodepletion.identity.{name}" in holds(decision)
    assert kinds(decision)[kind].severity == "critical"
    data = {
        "bag_id": BAG,
        "disposition": "expanded_access",
        "reason": "reviewed",
        "role": "director",
        "signer": "staff-9",
    }
    story.report(-5, "cart.disposition.signed", data, hour=20)

    decision = story.decide(-5)

    assert f"lymphodepletion.identity.{name}" not in holds(decision)
    assert "quarantined_bag" not in kinds(decision)


def test_the_cap_itself_is_allowed() -> None:
    assert not [
        hold for hold in released(viable_car_cells=200_000_000).decide(-4).holds if hold.requirement.kind == "identity"
    ]


@pytest.mark.parametrize(("expires", "open_"), [(0, True), (-1, False)])
def test_a_product_may_be_infused_on_its_last_day(expires: int, open_: bool) -> None:
    story = Story()
    story = until_collected()
    story.release(expires_on=story.on(expires))
    story.receive()
    story.deplete()
    story.book("infusion", 0, -2, setting="inpatient")

    assert (Stage.INFUSION in story.decide(-1).cleared) is open_


@pytest.mark.parametrize("people", [[], ["nurse-1"], ["nurse-1", "nurse-1"]])
def test_one_person_is_not_two(people: list[str]) -> None:
    decision = infused(verified_by=people).decide(0)

    assert "infusion.identity.verifiers" in holds(decision)
    assert kinds(decision)["verifier_missing"].severity == "critical"


def test_the_recorded_bedside_check_names_the_second_person() -> None:
    story = until_received()
    story.deplete()
    story.transfer(0, "bedside_check", hour=10, bag_id=BAG, by="nurse-1", second_verifier="nurse-2")
    story.infuse(verified_by=[])

    assert "infusion.identity.verifiers" not in holds(story.decide(0))


@pytest.mark.parametrize(("thawed", "open_"), [((7, 30), True), ((7, 29), False)])
def test_the_thaw_clock(thawed: tuple[int, int], open_: bool) -> None:
    story = until_received()
    story.deplete()
    story.transfer(0, "thaw", hour=thawed[0], minute=thawed[1], bag_id=BAG)
    story.infuse()

    assert ("infusion.identity.thaw" not in holds(story.decide(0))) is open_


def test_a_running_thaw_clock_wakes_the_encounter_and_alerts() -> None:
    story = until_received()
    story.deplete()
    thaw = story.transfer(0, "thaw", hour=9, bag_id=BAG)

    ahead = {deadline.key: deadline.due for deadline in story.decide(0, 11).deadlines}

    assert ahead[f"thaw_clock:{thaw}"] == story.at(0, 12)
    assert "thaw_clock" not in kinds(story.decide(0, 11))
    assert kinds(story.decide(0, 12))["thaw_clock"].severity == "critical"


def test_a_thaw_reported_late_is_judged_by_its_own_time() -> None:
    story = until_received()
    story.deplete()
    story.transfer(0, "thaw", hour=6, bag_id=BAG)
    story.infuse()
    thaw = next(fact for fact in story.facts if getattr(fact.data, "step", None) == "thaw")
    story.facts[story.facts.index(thaw)] = replace(thaw, received_at=story.at(9))

    assert "infusion.identity.thaw" in holds(story.decide(9))


def test_a_second_release_of_the_receiver_settles_a_refusal() -> None:
    story = received(accepted=False)
    story.receive(-5)

    assert "lymphodepletion.identity.refused" not in holds(story.decide(-4))


def test_a_destroyed_bag_sends_the_patient_back_to_collection() -> None:
    story = received(accepted=False)
    data = {"bag_id": BAG, "disposition": "destroy", "reason": "thawed", "role": "director", "signer": "staff-9"}
    story.report(-4, "cart.disposition.signed", data)

    decision = story.decide(-3)

    assert decision.stage is Stage.APHERESIS
    assert "manufacturing_failed" in kinds(decision)
    assert not [hold for hold in decision.holds if hold.requirement.kind == "identity"]


def test_bag_and_package_of_one_product_are_one() -> None:
    assert product_part("71287-219-01") == product_part("71287-219-02") == product_part("71287021902")
    assert product_part("71287-219-01") != product_part("71287-119-01")


def test_an_intact_chain_has_no_findings() -> None:
    decision = until_infused().decide(0)

    assert decision.holds == ()
    assert not {"identity_mismatch", "quarantined_bag", "performed_uncleared"} & set(kinds(decision))


@pytest.mark.parametrize(
    ("kind", "value"), [("coi", "COI-1"), ("din", "DIN-1"), ("bag", BAG), ("lot", "71287/KTA0001")]
)
def test_an_identifier_that_another_patient_carries_blocks_until_it_is_corrected(kind: str, value: str) -> None:
    story = infused()
    story.shared = frozenset({(kind, value)})

    decision = story.decide(1)

    found = [hold for hold in decision.holds if hold.id.endswith(f".identity.{kind}.shared")]
    assert found
    assert not any(hold.requirement.overridable for hold in found)
    assert kinds(decision)["identity_mismatch"].severity == "critical"
    assert "quarantined_bag" in kinds(decision)
    assert Stage.INFUSION not in decision.cleared
    story.shared = frozenset()
    assert not [hold for hold in story.decide(1).holds if hold.requirement.kind == "identity"]


def test_a_key_issued_to_two_patients_stops_the_collection() -> None:
    story = Story()
    story.refer()
    story.book("apheresis", -24, -40)
    story.transfer(-25, "coi_issued")
    assert Stage.APHERESIS in story.decide(-25).cleared

    story.shared = frozenset({("coi", "COI-1")})

    assert "apheresis.identity.coi.shared" in holds(story.decide(-25))
    assert Stage.APHERESIS not in story.decide(-25).cleared


@pytest.mark.parametrize("field", ["maker_id", "isbt_128"])
def test_every_scan_of_a_product_names_one_number_of_each_kind(field: str) -> None:
    def scanned(second: str) -> Story:
        story = until_collected()
        story.release(**{field: "K-100"})
        story.receive(**{field: second})
        return story

    assert f"lymphodepletion.identity.{field}" in holds(scanned("K-101").decide(-5))
    assert f"lymphodepletion.identity.{field}" not in holds(scanned("K-100").decide(-5))
