"""The documents of the eligibility gate: missing, supporting, contrary, too old; more of them never close it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.encounter.gates.eligibility import SPECIAL
from domain.events.base import Stage
from domain.rulebook import Rulebook
from domain.rulebook.rows import Eligibility
from tests.kit.stories import Story, holds, kinds, until_infused

MA = {"payer": "medicare_advantage", "member_id": "1EG4TE5MK73"}
AGAINST: dict[str, dict[str, Any]] = {
    "pathology": {"cd19_positive": False},
    "ecog": {"score": 3},
    "cns_status": {"status": 3},
    "autoimmune": {"active": True},
    "pulmonary_function": {"adequate": False},
    "btk_inhibitor": {"agent": "ibrutinib", "started": "2025-01-01", "stopped": "2026-01-01", "reason": "completed"},
}
FOR: dict[str, dict[str, Any]] = {
    "pathology": {"cd19_positive": True, "relapsed_or_refractory": True},
    "ecog": {"score": 2},
    "cns_status": {"status": 2},
    "autoimmune": {"active": False},
    "pulmonary_function": {"adequate": True},
    "btk_inhibitor": {
        "agent": "zanubrutinib",
        "started": "2025-01-01",
        "stopped": "2026-01-01",
        "reason": "intolerance",
    },
}


def referred(*without: str) -> Story:
    story = Story()
    story.refer(coverage=MA, evidence=story.documents(-47, *without))
    story.authorize(-42, -42, 40)
    return story


def test_the_btk_inhibitor_is_asked_of_mantle_cell_lymphoma() -> None:
    story = referred("btk_inhibitor")
    story.book("apheresis", -24, -40)

    decision = story.decide(-39)

    hold = holds(decision)["apheresis.eligibility.btk_inhibitor"]
    assert (hold.requirement.kind, hold.requirement.denial, hold.requirement.overridable) == ("eligibility", 2, False)
    assert "uncleared_collection_booked" in kinds(decision)
    story.add(-35, "btk_inhibitor", FOR["btk_inhibitor"])
    released = story.decide(-34)
    assert released.holds == ()
    assert released.alerts == ()


@pytest.mark.parametrize("kind", sorted(AGAINST))
def test_missing_holds_contrary_closes_and_later_evidence_opens(kind: str) -> None:
    hold = f"apheresis.eligibility.{kind}"
    story = referred(kind)
    assert hold in holds(story.decide(-40))
    story.add(-39, kind, FOR[kind])
    assert hold not in holds(story.decide(-38))
    story.add(-37, kind, AGAINST[kind])
    assert "does not support" in holds(story.decide(-36))[hold].requirement.missing
    story.add(-35, kind, FOR[kind])
    assert hold not in holds(story.decide(-34))


def test_the_latest_dated_document_decides_whatever_arrived_last() -> None:
    story = referred()
    story.report(-40, "cart.evidence.added", story.document(-80, "ecog", {"score": 4}))

    assert "apheresis.eligibility.ecog" not in holds(story.decide(-39))


@pytest.mark.parametrize(("dated", "open_"), [(-84, True), (-85, False)])
def test_imaging_ages_up_to_the_day_of_the_collection(dated: int, open_: bool) -> None:
    story = referred("imaging", "tumour_burden")
    story.report(-43, "cart.evidence.added", story.document(dated, "imaging"))
    story.book("apheresis", -24, -40)

    assert (Stage.APHERESIS in story.decide(-39).cleared) is open_


def test_the_end_of_the_imaging_window_wakes_the_encounter_while_nothing_is_booked() -> None:
    story = referred("imaging", "tumour_burden")
    story.report(-43, "cart.evidence.added", story.document(-100, "imaging"))

    wakes = {deadline.key: deadline for deadline in story.decide(-42).deadlines}
    end = wakes["wake:apheresis:imaging"].due

    assert end == story.at(-39, 0)
    assert Stage.APHERESIS in story.decide(-40).cleared
    assert Stage.APHERESIS not in story.decide(-39).cleared


def test_medicare_holds_the_indication_and_warns_of_the_rest() -> None:
    story = Story()
    story.refer(evidence=story.documents(-47, "ecog", "btk_inhibitor"))

    decision = story.decide(-40)

    assert set(holds(decision)) == {"apheresis.eligibility.btk_inhibitor"}
    ecog = next(alert for alert in decision.alerts if alert.key == "evidence_missing:eligibility.ecog")
    assert ecog.severity == "info"


def test_a_document_dated_after_the_service_does_not_close_it_and_resolves_a_missing_one() -> None:
    story = until_infused("medicare_advantage")
    story.add(3, "ecog", {"score": 4})
    assert story.decide(4).holds == ()

    late = until_infused("medicare_advantage", evidence=Story().documents(-47, "ecog"))
    assert "apheresis.eligibility.ecog" in holds(late.decide(1))
    assert "performed_uncleared" in kinds(late.decide(1))
    late.add(2, "ecog", {"score": 1})
    assert "apheresis.eligibility.ecog" not in holds(late.decide(3))


def test_b_all_requires_flow_cytometry_and_an_age_in_words() -> None:
    story = Story()
    story.refer(coverage=MA, indication="b_all", diagnosis="C91.02")

    assert {"apheresis.eligibility.cd19_flow", "apheresis.eligibility.age_document"} <= set(holds(story.decide(-40)))
    story.add(-39, "cd19_flow", {"cd19_positive": True})
    story.add(-39, "age_document")
    story.authorize(-39, -39, 40)
    assert story.decide(-38).holds == ()
    story.add(-37, "pathology", {"cd19_positive": True, "b_precursor": False})
    assert "apheresis.eligibility.cd19_flow" in holds(story.decide(-36))


@pytest.mark.parametrize(("level", "open_"), [("low", True), ("high", False)])
def test_outpatient_infusion_of_mcl_requires_a_low_burden(level: str, open_: bool) -> None:
    story = Story()
    story.refer(
        coverage={"payer": "uhc", "member_id": "X"},
        planned_setting="outpatient",
        evidence=[*story.documents(-47, "tumour_burden"), story.document(-47, "tumour_burden", {"level": level})],
    )
    story.authorize(-42, -42, 40)

    assert (Stage.APHERESIS in story.decide(-40).cleared) is open_


def test_b_all_as_outpatient_is_held_by_commercial_payers() -> None:
    story = Story()
    story.refer(
        coverage={"payer": "uhc", "member_id": "X"},
        indication="b_all",
        diagnosis="C91.02",
        planned_setting="outpatient",
    )

    hold = holds(story.decide(-40))["apheresis.site_of_care.setting"]
    assert (hold.requirement.denial, hold.requirement.missing) == (11, "inpatient setting")
    story.report(-39, "cart.plan.changed", {"planned_setting": "inpatient", "reason": "payer"})
    assert "apheresis.site_of_care.setting" not in holds(story.decide(-38))


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(sorted(FOR))), st.lists(st.sampled_from(sorted(FOR)), max_size=4))
def test_favorable_documents_never_close_a_gate(without: set[str], more: list[str]) -> None:
    story = referred(*without)
    before = story.decide(-39)
    for kind in more:
        story.add(-38, kind, FOR[kind])
    after = story.decide(-37)

    assert before.cleared <= after.cleared
    assert set(holds(after)) <= set(holds(before))


def test_every_requirement_of_the_rulebook_can_be_judged(rules: Rulebook, guide_rules: Rulebook) -> None:
    """A requirement that is neither a kind of evidence nor known to the code could never be met."""
    from domain.events import _EVIDENCE_KINDS

    for book in (rules, guide_rules):
        asked = {row.requirement for row in book.table(Eligibility)}
        assert asked <= set(_EVIDENCE_KINDS) | set(SPECIAL)


@pytest.mark.parametrize("lacking", [None, "agent", "started", "stopped", "stop_reason"])
def test_a_complete_entry_of_the_therapy_log_documents_the_btk_inhibitor(lacking: str | None) -> None:
    """G433 asks for agent, both dates and the reason, wherever they are written down; a part of them is not enough."""
    entry = {
        "regimen": "zanubrutinib",
        "line": 2,
        "class": "btk_inhibitor",
        "agent": "zanubrutinib",
        "started": "2024-01-01",
        "stopped": "2025-01-01",
        "stop_reason": "progression",
    }
    entry.pop(lacking or "", None)
    story = Story()
    story.refer(coverage=MA, evidence=story.documents(-47, "btk_inhibitor"), prior_therapies=[entry])
    story.authorize(-42, -42, 40)
    held = "apheresis.eligibility.btk_inhibitor" in holds(story.decide(-39))
    assert held == (lacking is not None)
