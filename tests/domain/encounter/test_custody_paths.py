"""What a cell laboratory and a coordinator expect when bags, clocks, centres and plans go another way than planned."""

from __future__ import annotations

import pytest

from domain.encounter.model import Outcome
from domain.events.base import Stage
from tests.kit.paths import story_of
from tests.kit.stories import (
    BAG,
    LOT,
    Story,
    holds,
    kinds,
    until_collected,
    until_infused,
    until_received,
    whole,
)


def depleted() -> Story:
    story = until_received()
    story.deplete()
    return story


def signed(story: Story, day: int, disposition: str, **changes: str) -> str:
    data = {"bag_id": BAG, "disposition": disposition, "reason": "reviewed", "role": "director", "signer": "staff-9"}
    return story.report(day, "cart.disposition.signed", data | changes)


def test_a_bag_that_was_not_released_is_a_mismatch_wherever_it_is_scanned() -> None:
    story = until_received()
    story.transfer(-5, "patient_match", bag_id="BAG-9", lot=LOT)

    decision = story.decide(-5)

    assert "lymphodepletion.identity.bag" in holds(decision)
    assert {"identity_mismatch", "quarantined_bag"} <= set(kinds(decision))
    assert "lymphodepletion.identity.bag" not in holds(until_received().decide(-5))


def test_the_bag_of_a_collection_has_its_own_number() -> None:
    story = until_collected()
    story.transfer(-24, "packed", bag_id="APH-1", hour=14)
    story.release()

    assert not [hold for hold in story.decide(-7).holds if hold.requirement.kind == "identity"]


def test_a_mismatch_that_names_no_bag_keeps_the_released_one_in_quarantine() -> None:
    story = until_received()
    story.transfer(-5, "stored", coi_id="COI-2")

    stored = story.facts[-1].event_id
    assert kinds(story.decide(-5))["quarantined_bag"].events == (stored,)


def test_one_person_at_the_recorded_check_is_reported_before_infusion() -> None:
    story = depleted()
    story.book("infusion", 0, -2, setting="inpatient")
    story.transfer(0, "bedside_check", hour=10, bag_id=BAG, lot=LOT, by="nurse-1")

    alone = story.decide(0, 10)
    story.transfer(0, "bedside_check", hour=10, bag_id=BAG, lot=LOT, by="nurse-2")
    both = story.decide(0, 10)

    assert kinds(alone)["verifier_missing"].severity == "critical"
    assert Stage.INFUSION not in alone.cleared
    assert "verifier_missing" not in kinds(both)
    assert Stage.INFUSION in both.cleared


def test_two_operators_who_scan_at_one_moment_are_two_records_in_an_order_of_their_own() -> None:
    story = until_received()
    first = story.transfer(-5, "stored", bag_id=BAG, by="tech-1")
    second = story.transfer(-5, "stored", bag_id=BAG, by="tech-2")
    turned = Story()
    turned.facts = [*reversed(story.facts)]

    chain = [entry.key for entry in story.decide(-5).custody]

    assert chain[-2:] == [first, second]
    assert [entry.key for entry in turned.decide(-5).custody] == chain
    assert "custody_out_of_order" not in kinds(story.decide(-5))


@pytest.mark.parametrize(("minutes", "asked"), [(0, False), (59, False), (60, False), (61, True)])
def test_clocks_of_two_sites_may_differ_by_an_hour(minutes: int, asked: bool) -> None:
    """The courier's device runs ahead of the manufacturer's."""
    story = until_collected()
    story.transfer(-24, "courier_pickup", hour=18, minute=0)
    hour, minute = divmod(18 * 60 - minutes, 60)
    receipt = story.transfer(-24, "manufacturer_receipt", hour=hour, minute=minute)

    decision = story.decide(-23)

    assert ("custody_out_of_order" in kinds(decision)) is asked
    if asked:
        assert receipt in kinds(decision)["custody_out_of_order"].events
        assert decision.stage is Stage.MANUFACTURING, "a question, never a block"


def test_the_thaw_clock_runs_over_midnight() -> None:
    story = depleted()
    thaw = story.transfer(0, "thaw", hour=23, minute=30, bag_id=BAG)
    ahead = {deadline.key: deadline.due for deadline in story.decide(1, 1).deadlines}
    assert ahead[f"thaw_clock:{thaw}"] == story.at(1, 2, 30)
    assert kinds(story.decide(1, 3))["thaw_clock"].severity == "critical"
    story.infuse(1, **{"at": story.at(1, 2, 30).isoformat()})
    assert "infusion.identity.thaw" not in holds(story.decide(1, 3))


def test_a_disposition_that_is_taken_back_never_was() -> None:
    path = story_of("disposition retracted", "infusion")
    assert path is not None
    decision = path[0].decide(path[1])
    assert "quarantined_bag" in kinds(decision)
    assert Stage.INFUSION not in decision.cleared
    entry = next(e for e in decision.custody if e.content.get("reason") == "wrong bag")
    assert (entry.content["step"], entry.content["signer"]) == ("retracted", "staff-9")


def test_a_disposition_ends_on_its_day_and_the_encounter_wakes_for_it() -> None:
    story = until_received()
    story.receive(-6, seal_intact=False)
    until = story.at(-3).isoformat()
    event = signed(story, -5, "release", expires=until)

    before, after = story.decide(-4), story.decide(-3)

    assert f"wake:disposition:{event}" in {deadline.key for deadline in before.deadlines}
    assert "quarantined_bag" not in kinds(before)
    assert "quarantined_bag" in kinds(after)


@pytest.mark.parametrize("settle", ["destroy", "return", "recorded"])
def test_an_unused_bag_requires_its_disposition_also_after_the_end(settle: str) -> None:
    story = depleted()
    story.withdraw(-1, "progression")
    closed = story.decide(5)
    assert closed.outcome is Outcome.WITHDRAWN
    assert kinds(closed)["disposition_due"].severity == "critical"

    if settle == "recorded":
        story.transfer(5, "disposition", bag_id=BAG)
    else:
        signed(story, 5, settle)

    assert "disposition_due" not in kinds(story.decide(6))


def test_an_accepted_bag_is_still_left_over_when_the_patient_leaves() -> None:
    story = depleted()
    signed(story, -2, "release")
    story.withdraw(-1, "death")

    assert "disposition_due" in kinds(story.decide(3))
    assert "disposition_due" not in kinds(whole().decide(35))


def test_a_withdrawal_during_manufacturing_notifies_the_manufacturer() -> None:
    story = until_collected()
    story.withdraw(-20, "choice")

    assert "notify the manufacturer" in kinds(story.decide(-20))["withdrawn"].action


def test_a_transferred_patient_waits_for_the_bag_at_the_new_center() -> None:
    story = until_received()
    story.on_the_way()
    plan = {"facilities": {"apheresis": "st_mary", "infusion": "lakeside"}, "reason": "nearer to home"}
    story.report(-5, "cart.plan.changed", plan)

    away = story.decide(-5)
    assert "lymphodepletion.product.on_site" in holds(away)
    assert "shipment_overdue" in {deadline.kind for deadline in away.deadlines}
    story.transfer(-4, "shipped", bag_id=BAG, lot=LOT)
    assert "site_receipt_overdue" in {deadline.kind for deadline in story.decide(-4).deadlines}
    story.receive(-3, facility="st_mary")
    assert "lymphodepletion.product.on_site" in holds(story.decide(-3)), "it came back to the old one"
    story.receive(-2, facility="lakeside")
    assert "lymphodepletion.product.on_site" not in holds(story.decide(-2))


def test_a_switch_of_product_ends_what_the_first_one_had_begun() -> None:
    story = until_received("aetna")
    plan = {"product": "breyanzi", "indication": "mcl", "reason": "label"}
    switch = story.report(-5, "cart.plan.changed", plan)

    decision = story.decide(-4)

    assert decision.stage is Stage.APHERESIS
    assert kinds(decision)["product_switched"].events == (switch,)
    assert {"disposition_due", "authorization_replacement"} <= set(kinds(decision))
    assert "manufacturing_failed" not in kinds(decision)
    assert [(claim.key, claim.errors) for claim in decision.claims] == [("A/1", ())], "billed as it was planned then"
    story.collect(1, ordinal=2, din="DIN-2")
    assert story.decide(2).stage is Stage.MANUFACTURING


def test_a_switch_before_anything_was_collected_begins_no_second_attempt() -> None:
    story = Story()
    story.refer()
    story.report(-40, "cart.plan.changed", {"product": "breyanzi", "indication": "mcl", "reason": "label"})

    assert "product_switched" not in kinds(story.decide(-39))
    assert "apheresis.authorization.replacement" not in holds(story.decide(-39))


def test_a_plan_made_after_the_infusion_changes_nothing_that_was_given() -> None:
    story = until_infused()
    before = story.decide(1)
    event = story.report(1, "cart.plan.changed", {"product": "yescarta", "indication": "lbcl", "reason": "typed"})

    decision = story.decide(1)

    assert (decision.product, decision.claims) == (before.product, before.claims)
    assert kinds(decision)["plan_after_infusion"].events == (event,)


@pytest.mark.parametrize(("release", "beyond"), [(-5, False), (-4, True)])
def test_a_delay_names_what_is_booked_before_the_product(release: int, beyond: bool) -> None:
    """The product's window ends on the nineteenth day, day -5."""
    story = until_collected()
    story.book("lymphodepletion", -6, -20)
    story.book("infusion", 8, -20, setting="inpatient")
    story.report(-15, "cart.manufacturing.delayed", {"new_release_date": story.on(release)})

    found = story.decide(-14).alerts

    (early,) = (alert for alert in found if alert.kind == "booked_before_product")
    assert early.action.startswith("Lymphodepletion. ")
    assert ("later than" in kinds(story.decide(-14))["product_delayed"].action.lower()) is beyond


def test_an_approval_that_expires_before_the_delayed_product_is_reported_at_once() -> None:
    story = Story()
    story.refer(coverage={"payer": "aetna", "member_id": "X"})
    story.authorize(-42, -42, 0)
    story.collect()
    assert "authorization_expiring" not in kinds(story.decide(-20))
    story.report(-19, "cart.manufacturing.delayed", {"new_release_date": story.on(3)})
    assert "authorization_expiring" in kinds(story.decide(-18))


def test_each_collection_makes_its_own_way_to_the_manufacturer() -> None:
    story = until_collected()
    story.transfer(-24, "courier_pickup", hour=16, din="DIN-1")
    story.transfer(-23, "manufacturer_receipt", hour=9, din="DIN-1")
    second = story.collect(-23, ordinal=2, din="DIN-2")

    ahead = {deadline.key for deadline in story.decide(-23).deadlines}

    assert f"pickup_overdue:{second}" in ahead
    story.transfer(-23, "courier_pickup", hour=16, din="DIN-2")
    ahead = {deadline.key for deadline in story.decide(-23).deadlines}
    assert f"manufacturer_receipt_overdue:{second}" in ahead
    story.transfer(-22, "manufacturing_start")
    ahead = {deadline.kind for deadline in story.decide(-22).deadlines}
    assert not {"pickup_overdue", "manufacturer_receipt_overdue", "manufacturing_start_overdue"} & ahead


def test_out_of_specification_waits_for_a_decision_and_is_a_failure_once_decided() -> None:
    path = story_of("out of specification", "manufacturing")
    assert path is not None
    story, day = path
    assert kinds(story.decide(day))["out_of_specification"].owner == "provider"
    assert "manufacturing_failed" not in kinds(story.decide(day))
    signed(story, day, "destroy")
    assert "manufacturing_failed" in kinds(story.decide(day))


def test_the_label_s_days_are_named_when_the_infusion_moves() -> None:
    path = story_of("infusion moved, lymphodepletion booked", "lymphodepletion")
    assert path is not None
    story, day = path
    assert f"{story.on(2)} to {story.on(4)}" in kinds(story.decide(day))["lymphodepletion_replan"].action


def test_a_charge_that_no_service_explains_is_never_lost() -> None:
    path = story_of("late charge after closure", "apheresis")
    assert path is not None
    story, day = path
    alert = kinds(story.decide(day))["charge_unclaimed"]
    assert (alert.owner, alert.events) == ("biller", (story.facts[-1].event_id,))


def test_a_late_charge_changes_the_claim_of_its_day() -> None:
    path = story_of("late charge after closure", "monitoring")
    assert path is not None
    story, day = path
    claim = next(claim for claim in story.decide(day).claims if claim.key == "A/1")
    assert [str(line.charge) for line in claim.lines if line.service == "collection"] == ["4321.00"]


@pytest.mark.parametrize(("path", "procedure"), [("central access instead of peripheral", "XW043M7")])
def test_central_access_is_billed_as_it_was_documented(path: str, procedure: str) -> None:
    found = story_of(path, "infusion")
    assert found is not None
    claim = next(claim for claim in found[0].decide(found[1]).claims if claim.letter == "C")
    assert procedure in [done.code for done in claim.procedures]
    assert claim.errors == ()


def test_the_replacement_is_billed_as_one_product_of_the_second_bag() -> None:
    for stage in ("manufacturing", "lymphodepletion", "infusion"):
        found = story_of("replaced: second collection, new authorization", stage)
        assert found is not None
        lines = [line for claim in found[0].decide(found[1]).claims for line in claim.lines]
        assert len([line for line in lines if line.service == "cell_product"]) == 1
