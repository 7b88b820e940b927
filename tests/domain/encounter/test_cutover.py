"""An encounter that was under way elsewhere: taken over at every stage, nothing asked for again, nothing billed twice."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.custody.entries import custody
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.events import EventData, InvalidEvent, parse_data
from tests.kit.stories import Story, holds, kinds, until_collected, until_infused, whole

IMPORT = "urn:cart-encounter:import"
STAGES = ("apheresis", "manufacturing", "lymphodepletion", "infusion", "monitoring")


def claim(story: Story, letter: str, first: int, last: int, **changes: Any) -> dict[str, Any]:
    data = {
        "letter": letter,
        "number": f"OLD-{letter}-{first}",
        "facility": "st_mary",
        "setting": "outpatient",
        "statement_from": story.on(first),
        "statement_through": story.on(last),
        "total": "4850.00",
    }
    return data | changes


def take_over(story: Story, day: int, stage: str, hour: int = 12, **changes: Any) -> str:
    """Everything reported up to the moment came from the former system; it is received at the moment."""
    at = story.at(day, hour)
    taken = []
    for fact in story.facts:
        if fact.occurred <= at or fact.type == "cart.referral.received":
            fact = dataclasses.replace(fact, source=IMPORT, received_at=at)
        taken.append(fact)
    story.facts = taken
    data = {"at": at.isoformat(), "stage": stage, "system": "old list", "attested_by": "staff-7", "role": "coordinator"}
    moved = Fact("ev999", IMPORT, "cutover", at, at, parse_data("cart.encounter.imported", data | changes))
    story.facts.append(moved)
    return moved.event_id


def bare(day: int, stage: str, payer: str = "medicare", **changes: Any) -> Story:
    """Nothing but the referral and the takeover: the former system gave no more."""
    story = Story()
    story.refer(coverage={"payer": payer, "member_id": "1EG4TE5MK73"}, evidence=[], prior_therapies=[])
    take_over(story, day, stage, **changes)
    return story


def cut(day: int, stage: str, payer: str = "medicare", hour: int = 12, **changes: Any) -> Story:
    """A whole encounter of which everything up to a day was imported and the rest happened here."""
    story = whole(payer)
    take_over(story, day, stage, hour, **changes)
    return story


def about(decision: Decision, stages: tuple[str, ...]) -> set[str]:
    return {h.id for h in decision.holds if h.gate in stages}


@pytest.mark.parametrize(
    ("stage", "day"), [("manufacturing", -20), ("lymphodepletion", -6), ("infusion", -2), ("monitoring", 3)]
)
@pytest.mark.parametrize("payer", ["medicare", "aetna"])
def test_nothing_before_the_cutover_is_asked_for(stage: str, day: int, payer: str) -> None:
    story = bare(day, stage, payer)
    earlier = STAGES[: STAGES.index(stage)]
    for later in range(day, day + 80, 7):
        decision = story.decide(later)
        assert decision.stage.value == stage
        assert about(decision, earlier) == set()
        assert {gate.stage.value for gate in decision.gates if not gate.open} & set(earlier) == set()
        assert {a.kind for a in decision.alerts} & EARLIER[stage] == set()


EARLIER = {
    "manufacturing": {"apheresis_undocumented", "apheresis_unbooked", "evidence_missing", "evidence_overdue"},
    "lymphodepletion": {"apheresis_unbooked", "evidence_missing", "pickup_overdue", "release_overdue"},
    "infusion": {"evidence_missing", "product_on_site_missing", "lymphodepletion_missing", "shipment_overdue"},
    "monitoring": {"evidence_missing", "performed_uncleared", "lymphodepletion_missing", "authorization_missing"},
}


@pytest.mark.parametrize(
    ("stage", "day"), [("manufacturing", -20), ("lymphodepletion", -6), ("infusion", -2), ("monitoring", 3)]
)
def test_what_comes_after_the_cutover_is_judged_as_ever(stage: str, day: int) -> None:
    """The same encounter, taken over anywhere, ends as it would have: monitored, claims built, nothing held."""
    story = cut(day, stage, billed=[claim(Story(), "A", -24, -24)], not_billed=["B"])
    ended = story.decide(60)
    assert ended.outcome is not None, [hold.id for hold in ended.holds]
    assert [c.key for c in ended.claims] == [c.key for c in whole().decide(60).claims if c.letter != "A"]
    assert {a.kind for a in ended.alerts} - {a.kind for a in whole().decide(60).alerts} == set()


def test_what_should_have_come_before_the_cutover_is_not_waited_for_and_what_comes_after_is() -> None:
    story = until_collected()
    take_over(story, -20, "manufacturing", billed=[claim(story, "A", -24, -24)])
    assert "pickup_overdue" not in kinds(story.decide(-15))
    assert "release_overdue" in {deadline.kind for deadline in story.decide(-15).deadlines}
    assert "release_overdue" in kinds(story.decide(0))


def test_a_service_after_the_cutover_without_its_documents_is_still_held() -> None:
    story = bare(-6, "lymphodepletion", "aetna")
    story.book("infusion", 0, -5, setting="inpatient")
    decision = story.decide(-4)
    assert "infusion.authorization.approved" in {f"{g.stage.value}.{r.key}" for g in decision.gates for r in g.unmet}
    assert "lymphodepletion.product.on_site" in {f"{g.stage.value}.{r.key}" for g in decision.gates for r in g.unmet}


def test_what_was_imported_and_speaks_against_the_infusion_still_blocks_it() -> None:
    story = Story()
    story.refer()
    story.collect()
    story.release(coi_id="COI-ANOTHER")
    story.receive()
    take_over(story, -2, "infusion", billed=[claim(story, "A", -24, -24)], not_billed=["B"])
    decision = story.decide(-1)
    assert "infusion.identity.release.coi" in holds(decision)
    assert "identity_mismatch" in kinds(decision)


def test_days_of_assessment_before_the_cutover_are_not_missed_and_those_after_are() -> None:
    story = until_infused()
    story.facts = [fact for fact in story.facts if fact.type != "cart.toxicity.assessed"]
    take_over(story, 3, "monitoring", 8, billed=[claim(story, "A", -24, -24)], not_billed=["B", "C"])
    assert "assessment_overdue" not in kinds(story.decide(3, 23))
    late = story.decide(5, 23)
    assert "assessment_overdue" in kinds(late)


def test_a_grade_that_was_questioned_before_the_cutover_is_not_questioned_again() -> None:
    story = until_infused()
    story.assess(1, crs=1, findings={"temperature_c": 38.5, "hypotension": True})
    assert "grade_difference" in kinds(story.decide(2))
    take_over(story, 2, "monitoring", billed=[claim(story, "A", -24, -24)], not_billed=["B"])
    assert "grade_difference" not in kinds(story.decide(2, 23))
    story.assess(3, crs=1, findings={"temperature_c": 38.5, "hypotension": True})
    assert "grade_difference" in kinds(story.decide(3, 23))


# the chain of identity


def test_the_chain_states_which_records_are_attested_and_by_which_person() -> None:
    story = cut(-6, "lymphodepletion", billed=[claim(Story(), "A", -24, -24)])
    entries = custody(fold(story.facts))
    moment = story.at(-6, 12)
    marked = [e for e in entries if "attested_by" in e.content]
    assert marked
    assert {e.key for e in marked} == {
        e.key for e in entries if e.occurred <= moment and e.content["step"] != "taken_over"
    }
    assert {e.content["attested_by"] for e in marked} == {"staff-7"}
    assert {e.content["attested_in"] for e in marked} == {"ev999"}
    (taken,) = [e for e in entries if e.content["step"] == "taken_over"]
    assert (taken.content["by"], taken.content["system"]) == ("staff-7", "old list")
    assert "OLD-A" not in str(entries)


def test_what_another_system_sends_late_of_before_the_cutover_is_no_attested_import() -> None:
    story = cut(-6, "lymphodepletion", billed=[claim(Story(), "A", -24, -24)])
    late = story.transfer(-20, "stored")
    (entry,) = [e for e in custody(fold(story.facts)) if e.key == late]
    assert "attested_by" not in entry.content


# money


def test_a_claim_that_was_billed_elsewhere_is_not_built_and_keeps_its_ordinal() -> None:
    story = cut(-6, "lymphodepletion", billed=[claim(Story(), "A", -24, -24)])
    assert [c.key for c in story.decide(40).claims] == ["B/1", "C/1"]
    story.collect(14, ordinal=2)
    assert "A/2" in [c.key for c in story.decide(40).claims]


def test_a_claim_waits_until_it_is_known_whether_the_service_was_billed() -> None:
    story = cut(-6, "lymphodepletion")
    (first,) = [c for c in story.decide(40).claims if c.letter == "A"]
    assert "cutover_billing_unknown" in {e.id for e in first.errors}
    said = cut(-6, "lymphodepletion", not_billed=["A"])
    (first,) = [c for c in said.decide(40).claims if c.letter == "A"]
    assert "cutover_billing_unknown" not in {e.id for e in first.errors}
    assert all(not c.errors for c in cut(-6, "lymphodepletion", not_billed=["A"]).decide(40).claims if c.letter == "C")


def test_doses_in_the_window_that_were_billed_elsewhere_hold_the_stay_until_a_decision() -> None:
    """Medicare folds the outpatient dose of day -4 and -3 into an admission of day -1 (corrections C5)."""
    billed = [claim(Story(), "A", -24, -24), claim(Story(), "B", -5, -3)]
    story = cut(-2, "infusion", billed=billed)
    decided = story.decide(40)
    (stay,) = decided.claims
    assert stay.key == "C/1"
    assert "billed_elsewhere_folds" in {e.id for e in stay.errors}
    assert not [line for line in stay.lines if line.documented_mg is not None]
    assert decided.outcome is None

    unrelated = cut(-2, "infusion", billed=billed)
    unrelated.add(-1, "unrelated_services")
    assert all(not c.errors for c in unrelated.decide(60).claims)
    voided = cut(-2, "infusion", billed=[billed[0], billed[1] | {"state": "voided"}], not_billed=["B"])
    taken = voided.decide(60).claims
    assert [c.key for c in taken] == ["B/2", "C/1"] or [c.key for c in taken] == ["C/1"]
    assert any(line.documented_mg is not None for c in taken for line in c.lines)
    assert all(not c.errors for c in taken)


def test_a_payer_without_a_window_takes_the_stay_beside_the_claim_billed_elsewhere() -> None:
    story = cut(-2, "infusion", "aetna", billed=[claim(Story(), "A", -24, -24), claim(Story(), "B", -5, -3)])
    (stay,) = story.decide(40).claims
    assert stay.key == "C/1"
    assert "billed_elsewhere_folds" not in {e.id for e in stay.edits}


def test_a_course_billed_in_part_elsewhere_is_billed_for_the_rest_only() -> None:
    story = cut(-4, "lymphodepletion", "aetna", 23, billed=[claim(Story(), "A", -24, -24), claim(Story(), "B", -5, -4)])
    (rest,) = [c for c in story.decide(40).claims if c.letter == "B"]
    assert rest.key == "B/2"
    assert {line.date_of_service for line in rest.lines} == {date.fromisoformat(story.on(-3))}


def test_a_stay_billed_elsewhere_leaves_the_readmission_after_the_cutover() -> None:
    story = whole()
    billed = [
        claim(story, "A", -24, -24),
        claim(story, "B", -5, -5),
        claim(story, "C", -4, 12, setting="inpatient"),
    ]
    take_over(story, 14, "monitoring", billed=billed)
    assert story.decide(15).claims == ()
    story.admit(18, "ADM-2")
    story.assess(18, crs=2, hour=20)
    story.discharge(21, "ADM-2")
    story.code(
        22,
        "ADM-2",
        principal_diagnosis="T80.82XA",
        other_diagnoses=[{"code": "D89.832", "poa": "Y"}, {"code": "C83.18", "poa": "Y"}],
        procedures=[],
    )
    (back,) = story.decide(40).claims
    assert back.key == "D/1"
    assert "overlapping_claims" not in {e.id for e in back.edits}


def test_an_inpatient_claim_over_days_billed_elsewhere_is_held() -> None:
    story = whole()
    wrong = claim(story, "A", -24, 3, setting="inpatient")
    take_over(story, 2, "monitoring", billed=[wrong], not_billed=["B"])
    (stay,) = [c for c in story.decide(40).claims if c.letter == "C"]
    assert "overlapping_claims" in {e.id for e in stay.errors}


@settings(max_examples=25, deadline=None)
@given(day=st.integers(-23, 16), letters=st.sets(st.sampled_from("ABC")), payer=st.sampled_from(["medicare", "aetna"]))
def test_wherever_it_is_taken_over_every_service_is_billed_once_or_the_claim_is_held(
    day: int, letters: set[str], payer: str
) -> None:
    spans = {"A": (-24, -24, "outpatient"), "B": (-5, -3, "outpatient"), "C": (-1, 12, "inpatient")}
    ended = {"A": -24, "B": -3, "C": 12}
    story = whole(payer)
    billed = [
        claim(story, letter, *spans[letter][:2], setting=spans[letter][2])
        for letter in sorted(letters)
        if ended[letter] < day
    ]
    stage = "manufacturing" if day < -8 else "lymphodepletion" if day < -3 else "infusion" if day < 0 else "monitoring"
    take_over(story, day, stage, 7, billed=billed)
    decision = story.decide(60)
    there = {one["letter"] for one in billed}
    doses = [line for c in decision.claims for line in c.lines if line.documented_mg is not None]
    if "B" in there:
        assert doses == []
    if "A" in there:
        assert [c for c in decision.claims if c.letter == "A"] == []
    if "C" in there:
        assert [c for c in decision.claims if c.letter == "C"] == []
    for letter in {"A", "B"} - there:
        if ended[letter] < day and not (letter == "B" and "C" in there):
            carrying = [c for c in decision.claims if c.letter in (letter, "C") and not c.errors]
            mine = [line for c in carrying for line in c.lines if (line.documented_mg is not None) == (letter == "B")]
            assert letter == "A" or mine == [], "a service without an answer was billed"


def test_events_may_arrive_in_any_order_and_the_import_alone_requires_nothing() -> None:
    story = bare(-6, "lymphodepletion")
    alone = Story(facts=[fact for fact in story.facts if fact.type == "cart.encounter.imported"])
    first = alone.decide(-6, 13)
    assert (first.alerts, first.holds) == ((), ())
    assert "data" in {hold.requirement.kind for hold in alone.decide(-4).holds}
    reordered = dataclasses.replace(story, facts=list(reversed(story.facts)))
    assert reordered.decide(-5) == story.decide(-5)


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "closed"},
        {"billed": [claim(Story(), "A", 5, 6)]},
        {"billed": [claim(Story(), "A", -24, -25)]},
        {"billed": [claim(Story(), "A", -24, -24), claim(Story(), "A", -24, -24)]},
        {"attested_by": ""},
    ],
)
def test_an_import_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    data = {
        "at": Story().at(-6).isoformat(),
        "stage": "infusion",
        "system": "old list",
        "attested_by": "staff-7",
        "role": "coordinator",
    }
    assert isinstance(parse_data("cart.encounter.imported", data), EventData)
    with pytest.raises(InvalidEvent):
        parse_data("cart.encounter.imported", data | change)
