"""Facts are a set: order and repetition cannot matter, and any subset of them has a sensible answer."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.encounter.model import Enforcement
from domain.events import EventData
from domain.events.base import Stage
from tests.kit.rules import rulebook
from tests.kit.site import site
from tests.kit.stories import Story, until_infused, whole

STAGES = tuple(Stage)


def everything() -> Story:
    """A long story with a failure, a second attempt, a correction, an override, a readmission."""
    story = whole("aetna")
    story.report(-44, "cart.authorization.submitted", {"number": "AUTH-1"})
    story.book("lymphodepletion", -5, -7)
    story.book("infusion", 0, -7, setting="inpatient")
    story.transfer(-24, "courier_pickup", hour=16)
    story.transfer(-23, "manufacturing_start")
    story.report(-20, "cart.manufacturing.delayed", {"new_release_date": story.on(-7)})
    story.override(-43, "apheresis.eligibility.ecog", 10)
    story.report(3, "cart.medication.administered", {
        "drug": "tocilizumab", "ndc": "50242-135-01", "dose_mg": 560, "wasted_mg": 40,
        "at": story.at(3, 12).isoformat(), "indication": "crs", "setting": "inpatient",
    })  # fmt: skip
    wrong = story.facts[4]
    story.report(
        -20,
        "cart.correction.made",
        {"of": {"source": wrong.source, "id": wrong.id}, "reason": "x", "signer": "s", "retract": True},
    )
    story.admit(20, stay="ADM-2")
    story.report(2, "cart.readiness.changed", {"facility": "st_mary", "tocilizumab_doses": 3, "icu_backup": True})
    story.certify(-30, "authorized_center", "st_mary", "2026-05-01", "2027-05-01")
    return story


STORY = everything()


def ask(facts: list[Fact[EventData]], day: int, holders: list[Fact[EventData]]) -> Decision:
    return decide(fold(facts), site(), rulebook(), STORY.at(day, 23), holders)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), day=st.integers(-50, 60))
def test_order_and_repetition_do_not_matter(seed: int, day: int) -> None:
    shuffler = random.Random(seed)
    facts = [*STORY.facts, *shuffler.sample(STORY.facts, 8)]
    holders = [*STORY.holders]
    shuffler.shuffle(facts)
    shuffler.shuffle(holders)

    assert ask(facts, day, holders) == ask(STORY.facts, day, STORY.holders)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.floats(0, 1), day=st.integers(-60, 80))
def test_any_subset_of_facts_has_an_answer(seed: int, share: float, day: int) -> None:
    """Never an exception, never cleared with something that holds, never a claim for a service without documentation."""
    chooser = random.Random(seed)
    facts = [fact for fact in STORY.facts if chooser.random() < share]

    decision = ask(facts, day, [])

    for gate in decision.gates:
        holding = [r for r in gate.requirements if not r.met and r.enforcement is Enforcement.HOLD]
        assert gate.open is all(r.key in gate.overridden for r in holding)
        before = [g for g in decision.gates if STAGES.index(g.stage) <= STAGES.index(gate.stage)]
        assert (gate.stage in decision.cleared) is all(g.open for g in before)
    documented = {fact.type for fact in facts}
    letters = {claim.letter for claim in decision.claims}
    assert "A" not in letters or "cart.apheresis.completed" in documented
    assert "B" not in letters or "cart.lymphodepletion.administered" in documented
    assert not {"C", "D"} & letters or documented & {"cart.infusion.completed", "cart.admission.started"}
    q_code = [line for claim in decision.claims for line in claim.lines if line.hcpcs == "Q2053"]
    assert len(q_code) <= 1
    assert (decision.stage is Stage.CLOSED) is (decision.outcome is not None)
    assert len({alert.key for alert in decision.alerts}) == len(decision.alerts)
    assert len({hold.id for hold in decision.holds}) == len(decision.holds)
    assert len({deadline.key for deadline in decision.deadlines}) == len(decision.deadlines)
    assert all(deadline.due > STORY.at(day, 23) for deadline in decision.deadlines)
    assert all(alert.since <= STORY.at(day, 23) for alert in decision.alerts)


def test_a_late_fact_gives_what_a_timely_one_would_have_given() -> None:
    """A whole feed received at once on day 50 ends as the live one does: same stage, holds, alerts, claims, chain."""
    live = until_infused("aetna")
    late = [Fact(f.event_id, f.source, f.id, f.time, live.at(50, 8), f.data) for f in live.facts]

    one, other = ask(live.facts, 60, []), ask(late, 60, [])

    assert one.stage == other.stage
    assert one.holds == other.holds
    assert [alert.key for alert in one.alerts] == [alert.key for alert in other.alerts]
    assert [claim.content_hash for claim in one.claims] == [claim.content_hash for claim in other.claims]
    assert one.custody == other.custody


def test_a_decision_is_fast() -> None:
    """The bound is generous for a busy machine; it catches an accidental square."""
    import time

    begun = time.perf_counter()
    ask(STORY.facts, 40, STORY.holders)

    assert time.perf_counter() - begun < 1.5
