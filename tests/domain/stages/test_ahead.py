"""Papers and records that are dated later than now: kept, and counting from their date, whatever came first."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from domain.decide import decide
from domain.events.base import Stage
from domain.facts import fold
from tests.domain.stages.stories import Story, holds, rulebook

MA = {"payer": "medicare_advantage", "member_id": "1EG4TE5MK73"}
TODAY, THEN = -30, -26
AHEAD = "dated ahead"


def _paper(story: Story, day: int) -> None:
    story.tell(TODAY, "cart.evidence.added", story.paper(day, "lvef", {"percent": 60}))


def _approval(story: Story, day: int) -> None:
    story.authorize(day, -42, 40)


def _certificate(story: Story, day: int) -> None:
    story.certify(day, "authorized_center", "st_mary", "2020-01-01", None)


def booked(*, without: tuple[str, ...] = (), approved: bool = True) -> Story:
    story = Story()
    story.refer(coverage=MA, evidence=story.papers(-47, "btk_inhibitor", *without))
    story.add(-45, "btk_inhibitor", BTK)
    if approved:
        story.authorize(-42, -42, 40)
    story.book("apheresis", -20, -40)
    return story


BTK = {"agent": "ibrutinib", "started": "2025-01-01", "stopped": "2026-01-01", "reason": "progression"}
CASES: dict[str, tuple[Callable[[], Story], Callable[[Story, int], None], str]] = {
    "evidence": (lambda: booked(without=("lvef",)), _paper, "apheresis.eligibility.lvef"),
    "authorization": (lambda: booked(approved=False), _approval, "apheresis.authorization.approved"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_paper_opens_its_gate_on_its_date_and_not_before(case: str) -> None:
    begun, tell, hold = CASES[case]
    story = begun()
    assert hold in holds(story.decide(TODAY))

    tell(story, THEN)
    before, on_the_day = story.decide(THEN - 1, hour=12), story.decide(THEN)

    assert AHEAD in holds(before)[hold].missing
    assert hold not in holds(on_the_day)
    assert any("ahead" in due.key and due.due.date() == story.at(THEN).date() for due in before.deadlines)


def test_a_paper_of_the_referral_counts_from_its_date() -> None:
    story = Story()
    story.refer(coverage=MA, evidence=[*story.papers(-47, "lvef"), story.paper(THEN, "lvef", {"percent": 60})])
    story.authorize(-42, -42, 40)
    story.book("apheresis", -20, -40)

    assert AHEAD in holds(story.decide(TODAY))["apheresis.eligibility.lvef"].missing
    assert holds(story.decide(THEN)) == {}


def test_a_certificate_reported_for_tomorrow_does_not_count_today() -> None:
    story = booked()
    story.site = story.site.model_copy(
        update={"certifications": tuple(c for c in story.site.certifications if c.layer.value != "authorized_center")}
    )
    _certificate(story, THEN)

    held = [h for h in holds(story.decide(TODAY)).values() if h.layer == "authorized_center"]
    assert held
    assert all(AHEAD in hold.missing for hold in held)
    assert not [h for h in holds(story.decide(THEN)).values() if h.layer == "authorized_center"]


def test_an_override_stands_from_its_signature() -> None:
    story = booked(approved=False)
    story.override(THEN, "apheresis.authorization.approved", 20)

    before, after = (holds(story.decide(day))["apheresis.authorization.approved"] for day in (TODAY, THEN))

    assert before.override is None
    assert after.override is not None


def test_a_bag_that_arrives_tomorrow_opens_no_lymphodepletion_today() -> None:
    story = until_cells_are_made()
    story.receive(day=-4)

    before, then = (_unmet(story, day) for day in (-6, -4))

    assert AHEAD in before["product.on_site"]
    assert "product.on_site" not in then


def test_what_speaks_against_it_counts_at_once() -> None:
    story = booked()
    story.tell(TODAY, "cart.evidence.added", story.paper(THEN, "ecog", {"score": 4}))

    assert "apheresis.eligibility.ecog" in holds(story.decide(TODAY))


def test_a_clock_that_runs_a_little_ahead_is_no_future() -> None:
    story = booked(approved=False)
    story.authorize(THEN, -42, 40)

    assert holds(story.decide(THEN, hour=8)) == {}


def test_a_service_documented_ahead_is_asked_about_until_its_time_has_come() -> None:
    story = booked()
    event = story.collect(day=-20)

    before, then = (story.decide(day).advisories for day in (TODAY, -20))

    assert [text for text in before if event in text]
    assert then == ()


def test_arrival_order_does_not_matter() -> None:
    story = booked(without=("lvef",), approved=False)
    _paper(story, THEN)
    _approval(story, THEN)
    expected = [story.decide(day) for day in (TODAY, THEN)]
    for seed in range(5):
        shuffled = [*story.facts, *story.facts[:4]]
        random.Random(seed).shuffle(shuffled)
        found = [
            decide(fold(shuffled), story.site, rulebook(), story.at(day, 23), story.holders) for day in (TODAY, THEN)
        ]
        assert found == expected


def _unmet(story: Story, day: int) -> dict[str, str]:
    gates = {gate.stage: gate for gate in story.decide(day).gates}
    return {requirement.key: requirement.missing for requirement in gates[Stage.LYMPHODEPLETION].unmet}


def until_cells_are_made() -> Story:
    story = booked()
    story.collect(day=-20)
    story.release()
    return story
