"""Every wait ends in a fact or in an alert; a feed that comes late has its grace; days are those of the place of care."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decision.model import Decision
from tests.kit.stories import (
    DAY0,
    ZONE,
    Story,
    kinds,
    until_collected,
    until_infused,
    until_received,
    whole,
)


def due(decision: Decision, key: str) -> datetime:
    return next(deadline.due for deadline in decision.deadlines if deadline.key.startswith(key))


def booked() -> Story:
    story = Story()
    story.refer()
    return story


def in_production() -> Story:
    story = until_collected()
    story.transfer(-24, "courier_pickup", hour=16)
    story.transfer(-23, "manufacturer_receipt")
    story.transfer(-23, "manufacturing_start", hour=14)
    return story


def undecided() -> Story:
    story = Story()
    story.refer(coverage={"payer": "uhc", "member_id": "X"})
    story.report(-44, "cart.authorization.submitted", {"number": "AUTH-1"})
    return story


def collection_booked() -> Story:
    story = booked()
    story.book("apheresis", -24, -40)
    return story


def missing_document() -> Story:
    story = Story()
    story.refer(evidence=story.documents(-47, "btk_inhibitor"))
    return story


def unsubmitted() -> Story:
    story = Story()
    story.refer(coverage={"payer": "uhc", "member_id": "X"})
    return story


def released() -> Story:
    story = until_collected()
    story.release()
    return story


def depletion_booked() -> Story:
    story = until_received()
    story.book("lymphodepletion", -5, -7)
    return story


def begun() -> Story:
    story = until_received()
    story.dose(-5, "fludarabine", 55.5)
    return story


def depleted() -> Story:
    story = until_received()
    story.deplete()
    return story


def infusion_booked() -> Story:
    story = depleted()
    story.book("infusion", 0, -7, setting="inpatient")
    return story


WAITS: dict[str, tuple[Callable[[], Story], int]] = {
    "apheresis_unbooked": (booked, -31),
    "evidence_overdue": (missing_document, -38),
    "authorization_submission_overdue": (unsubmitted, -40),
    "authorization_decision_overdue": (undecided, -29),
    "apheresis_undocumented": (collection_booked, -23),
    "pickup_overdue": (until_collected, -23),
    "release_overdue": (in_production, -5),
    "shipment_overdue": (released, -6),
    "lymphodepletion_unbooked": (until_received, 8),
    "lymphodepletion_undocumented": (depletion_booked, -4),
    "lymphodepletion_missing": (begun, -1),
    "infusion_unbooked": (depleted, -2),
    "infusion_undocumented": (infusion_booked, 1),
    "lymphodepletion_repeat_due": (depleted, 12),
    "assessment_overdue": (until_infused, 2),
    "claim_waiting_for_coding": (until_infused, 6),
}


@pytest.mark.parametrize("kind", sorted(WAITS))
def test_a_deadline_passes_and_raises_its_alert(kind: str) -> None:
    """The alert is not there before the moment, is there at it, and the deadline is one the workflow can wait for."""
    make, day = WAITS[kind]
    story = make()
    before = story.decide(day - 2, 9)
    after = story.decide(day, 23)

    assert kind not in kinds(before)
    assert kind in kinds(after)
    moment = due(before, kind)
    assert before.next_deadline is not None
    assert before.next_deadline.due <= moment
    assert kinds(after)[kind].since == moment
    assert story.at(day - 1, 23) < moment <= story.at(day, 23)


def test_the_expected_fact_resolves_the_alert() -> None:
    story = until_collected()
    assert "pickup_overdue" in kinds(story.decide(-22))
    story.transfer(-24, "courier_pickup", hour=16)
    assert "pickup_overdue" not in kinds(story.decide(-22))


def test_a_later_transfer_implies_the_earlier_ones() -> None:
    story = until_collected()
    story.transfer(-23, "manufacturing_start")

    assert not {"pickup_overdue", "manufacturer_receipt_overdue", "manufacturing_start_overdue"} & set(
        kinds(story.decide(-10))
    )


def test_a_delay_moves_the_release_and_opens_an_alert() -> None:
    story = in_production()
    story.report(-10, "cart.manufacturing.delayed", {"new_release_date": story.on(3)})

    decision = story.decide(-1)

    assert "product_delayed" in kinds(decision)
    assert "release_overdue" not in kinds(decision)
    assert "release_overdue" in kinds(story.decide(4))


def test_a_backfilled_feed_has_a_day_of_grace() -> None:
    """Months old, all received on day 100: nothing is late before day 101, and the end is the same."""
    live = whole()
    late = Story()
    for fact in live.facts:
        late.facts.append(type(fact)(fact.event_id, fact.source, fact.id, fact.time, live.at(100, 8), fact.data))

    half = Story(facts=late.facts[:3])
    assert "pickup_overdue" not in kinds(half.decide(100, 9))
    assert "pickup_overdue" in kinds(half.decide(101, 9))
    assert late.decide(100, 9).outcome is None
    assert late.decide(101, 9).outcome == live.decide(101, 9).outcome == "completed"


@settings(max_examples=25, deadline=None)
@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_the_readmission_window_is_thirty_days_of_the_calendar(day0: date) -> None:
    """Across month ends and changes of the clocks the encounter closes at midnight after day 30."""
    story = whole()
    moved = Story(day0=day0)
    for fact in story.facts[:]:
        shift = (day0 - DAY0).days
        moved.facts.append(_shifted(fact, shift))
    midnight = datetime.combine(day0 + timedelta(days=31), datetime.min.time(), ZONE)

    assert due(moved.decide(29), "wake:closure") == midnight


def _shifted(fact, days: int):  # type: ignore[no-untyped-def]
    """The same fact some days later, at the same hour on the clock of the hospital."""
    from domain.encounter.facts import Fact
    from domain.events import parse_data

    def move(value):  # type: ignore[no-untyped-def]
        if isinstance(value, dict):
            return {key: move(found) for key, found in value.items()}
        if isinstance(value, list):
            return [move(found) for found in value]
        if isinstance(value, str) and len(value) >= 10 and value[:4] in ("2026",) and value[4] == "-":
            if len(value) == 10:
                return (date.fromisoformat(value) + timedelta(days=days)).isoformat()
            return local(datetime.fromisoformat(value)).isoformat()
        return value

    def local(moment: datetime) -> datetime:
        here = moment.astimezone(ZONE)
        return datetime.combine(here.date() + timedelta(days=days), here.time(), ZONE)

    data = fact.data.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Fact(
        fact.event_id,
        fact.source,
        fact.id,
        local(fact.time),
        local(fact.received_at),
        parse_data(fact.type, move(data)),
    )


@pytest.mark.parametrize(("indication", "diagnosis", "days"), [("mcl", "C83.18", 7), ("b_all", "C91.02", 14)])
def test_daily_assessment_lasts_as_long_as_the_label_requires(indication: str, diagnosis: str, days: int) -> None:
    story = until_infused(indication=indication, diagnosis=diagnosis)
    for day in range(1, days):
        story.assess(day)

    assert "assessment_overdue" not in kinds(story.decide(days, 23))
    assert due(story.decide(days, 22), "assessment_overdue") == story.at(days + 1, 12)
    assert "assessment_overdue" not in {d.kind for d in story.decide(days + 1, 0).deadlines}


def test_no_deadline_is_left_after_closure() -> None:
    decision = whole().decide(40)

    assert decision.stage == "closed"
    assert decision.deadlines == ()
    assert decision.alerts == ()


def test_a_decision_between_deadlines_only_changes_at_them() -> None:
    """Nothing but a fact or a deadline changes what should be: the workflow may sleep until the next one."""
    for make in (booked, collection_booked, in_production, depletion_booked, infusion_booked, until_infused, undecided):
        story = make()
        moment = max(fact.received_at for fact in story.facts) + timedelta(minutes=1)
        for _ in range(60):
            now = _at(story, moment)
            if now.next_deadline is None:
                break
            last = _at(story, now.next_deadline.due - timedelta(seconds=1))
            assert _said(last) == _said(now), make.__name__
            moment = now.next_deadline.due


def _at(story: Story, moment: datetime) -> Decision:
    from domain.decision.decide import decide
    from domain.encounter.facts import fold
    from tests.kit.rules import rulebook

    return decide(fold(story.facts), story.site, rulebook(), moment, story.holders)


def _said(decision: Decision) -> object:
    return (
        decision.stage,
        decision.cleared,
        [hold.id for hold in decision.holds],
        [alert.key for alert in decision.alerts],
        [claim.content_hash for claim in decision.claims],
        decision.outcome,
    )
