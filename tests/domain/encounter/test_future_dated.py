"""Documents and records dated later than now and than their event are kept and count from their date, in any order."""

from __future__ import annotations

import random

from domain.decision.decide import decide
from domain.encounter.facts import fold
from domain.events.base import Stage
from tests.kit.rules import rulebook
from tests.kit.stories import Story, holds

MA = {"payer": "medicare_advantage", "member_id": "1EG4TE5MK73"}
TODAY, THEN = -30, -26
AHEAD = "future dated"


def _document(story: Story, day: int) -> None:
    story.report(TODAY, "cart.evidence.added", story.document(day, "lvef", {"percent": 60}))


def booked(*, without: tuple[str, ...] = (), approved: bool = True) -> Story:
    story = Story()
    story.refer(coverage=MA, evidence=story.documents(-47, "btk_inhibitor", *without))
    story.add(-45, "btk_inhibitor", BTK)
    if approved:
        story.authorize(-42, -42, 40)
    story.book("apheresis", -20, -40)
    return story


BTK = {"agent": "ibrutinib", "started": "2025-01-01", "stopped": "2026-01-01", "reason": "progression"}


def test_a_document_opens_its_gate_on_its_date_and_not_before() -> None:
    hold, story = "apheresis.eligibility.lvef", booked(without=("lvef",))
    assert hold in holds(story.decide(TODAY))

    _document(story, THEN)
    before, on_the_day = story.decide(THEN - 1, hour=12), story.decide(THEN)

    assert AHEAD in holds(before)[hold].requirement.missing
    assert hold not in holds(on_the_day)
    assert any("ahead" in due.key and due.due.date() == story.at(THEN).date() for due in before.deadlines)


def test_an_event_of_a_time_to_come_is_taken_at_its_word() -> None:
    """Documents of a rehearsed encounter in the future open its gates as they do later."""
    story = booked(without=("lvef",), approved=False)
    story.report(THEN, "cart.evidence.added", story.document(THEN, "lvef", {"percent": 60}))
    story.authorize(THEN, -42, 40)

    assert holds(story.decide(TODAY)) == holds(story.decide(THEN)) == {}


def test_a_document_of_the_referral_counts_from_its_date() -> None:
    story = Story()
    story.refer(coverage=MA, evidence=[*story.documents(-47, "lvef"), story.document(THEN, "lvef", {"percent": 60})])
    story.authorize(-42, -42, 40)
    story.book("apheresis", -20, -40)

    assert AHEAD in holds(story.decide(TODAY))["apheresis.eligibility.lvef"].requirement.missing
    assert holds(story.decide(THEN)) == {}


def test_a_bag_that_arrives_tomorrow_opens_no_lymphodepletion_today() -> None:
    story = until_cells_are_made()
    story.receive(day=-6, at=story.at(-4, 12).isoformat())

    before, then = (_unmet(story, day) for day in (-6, -4))

    assert AHEAD in before["product.on_site"]
    assert "product.on_site" not in then


def test_what_speaks_against_it_counts_at_once() -> None:
    story = booked()
    story.report(TODAY, "cart.evidence.added", story.document(THEN, "ecog", {"score": 4}))

    assert "apheresis.eligibility.ecog" in holds(story.decide(TODAY))


def test_a_clock_that_is_slightly_fast_is_not_the_future() -> None:
    story = until_cells_are_made()
    story.receive(day=-4, hour=12, at=story.at(-4, 12, 40).isoformat())

    assert "product.on_site" not in _unmet(story, -4, hour=12)


def test_a_service_with_a_future_date_is_questioned_until_its_time() -> None:
    story = booked()
    event = story.collect(day=-20)

    before, then = (story.decide(day).advisories for day in (TODAY, -20))

    assert [text for text in before if event in text]
    assert then == ()


def test_arrival_order_does_not_matter() -> None:
    story = booked(without=("lvef",), approved=False)
    _document(story, THEN)
    story.authorize(THEN, -42, 40)
    expected = [story.decide(day) for day in (TODAY, THEN)]
    for seed in range(5):
        shuffled = [*story.facts, *story.facts[:4]]
        random.Random(seed).shuffle(shuffled)
        found = [
            decide(fold(shuffled), story.site, rulebook(), story.at(day, 23), story.holders) for day in (TODAY, THEN)
        ]
        assert found == expected


def _unmet(story: Story, day: int, hour: int = 23) -> dict[str, str]:
    gates = {gate.stage: gate for gate in story.decide(day, hour=hour).gates}
    return {requirement.key: requirement.missing for requirement in gates[Stage.LYMPHODEPLETION].unmet}


def until_cells_are_made() -> Story:
    story = booked()
    story.collect(day=-20)
    story.release()
    return story
