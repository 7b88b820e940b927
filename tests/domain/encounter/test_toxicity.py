"""Documented grades against findings (Lee 2019, corrections F): questions only, and the limits of the label."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.encounter.checks.toxicity import suggested_crs, suggested_icans
from domain.events.care import Findings
from tests.kit.stories import Story, kinds, until_infused, until_received


def seen(**findings: Any) -> Findings:
    return Findings.model_validate(findings)


@pytest.mark.parametrize(
    ("findings", "grade"),
    [
        ({}, None),
        ({"hypotension": True}, None),
        ({"temperature_c": 37.9}, 0),
        ({"temperature_c": 38.0}, 1),
        ({"temperature_c": 39.5, "oxygen": "room_air", "hypotension": False}, 1),
        ({"temperature_c": 38.5, "hypotension": True}, 2),
        ({"temperature_c": 38.5, "oxygen": "low_flow_nasal"}, 2),
        ({"temperature_c": 38.5, "oxygen": "blow_by"}, 2),
        ({"temperature_c": 38.5, "vasopressors": 1, "vasopressin": True}, 3),
        ({"temperature_c": 38.5, "oxygen": "high_flow_nasal"}, 3),
        ({"temperature_c": 38.5, "oxygen": "venturi", "hypotension": True}, 3),
        ({"temperature_c": 38.5, "vasopressors": 2}, 4),
        ({"temperature_c": 38.5, "oxygen": "bipap"}, 4),
        ({"temperature_c": 36.8, "fever_masked": True, "hypotension": True}, 2),
        ({"death": True}, 5),
        ({"temperature_c": 39.0, "fever_explained": True, "vasopressors": 2}, 0),
        ({"temperature_c": 36.8, "fever_masked": True}, 1),
        ({"temperature_c": 37.9, "vasopressors": 2}, 0),
        ({"temperature_c": 38.5, "oxygen": "nasal_cannula", "oxygen_l_min": 6.0}, 2),
        ({"temperature_c": 38.5, "oxygen": "nasal_cannula", "oxygen_l_min": 6.1}, 3),
        ({"temperature_c": 38.5, "oxygen": "face_mask"}, 3),
        ({"temperature_c": 38.5, "oxygen": "non_rebreather"}, 3),
        ({"temperature_c": 38.5, "oxygen": "cpap"}, 4),
        ({"temperature_c": 38.5, "oxygen": "ventilator"}, 4),
        ({"temperature_c": 38.5, "vasopressors": 1}, 3),
        ({"temperature_c": 38.5, "vasopressors": 0, "vasopressin": True}, 3),
        ({"temperature_c": 38.5, "vasopressors": 2, "vasopressin": False}, 4),
    ],
)
def test_cytokine_release_takes_the_worse_axis(findings: dict[str, Any], grade: int | None) -> None:
    assert suggested_crs(seen(**findings)) == grade


@pytest.mark.parametrize(
    ("findings", "grade"),
    [
        ({}, None),
        ({"ice_score": 10}, 0),
        ({"ice_score": 9}, 1),
        ({"ice_score": 7}, 1),
        ({"ice_score": 6}, 2),
        ({"ice_score": 3}, 2),
        ({"ice_score": 2}, 3),
        ({"ice_score": 0}, 3),
        ({"ice_score": 0, "arousal": "unarousable"}, 4),
        ({"ice_score": 8, "arousal": "voice"}, 2),
        ({"ice_score": 8, "arousal": "touch"}, 3),
        ({"ice_score": 8, "seizure": "resolved_rapidly"}, 3),
        ({"ice_score": 8, "seizure": "prolonged"}, 4),
        ({"ice_score": 8, "deep_focal_weakness": True}, 4),
        ({"ice_score": 8, "oedema": "focal"}, 3),
        ({"ice_score": 8, "oedema": "diffuse"}, 4),
        ({"ice_score": 8, "posturing": True}, 4),
        ({"death": True}, 5),
        ({"ice_score": 1}, 3),
        ({"ice_score": 8, "arousal": "spontaneous"}, 1),
        ({"ice_score": 8, "arousal": "unarousable"}, 4),
        ({"ice_score": 8, "seizure": "resolved_with_intervention"}, 3),
        ({"ice_score": 8, "cranial_nerve_vi_palsy": True}, 4),
        ({"ice_score": 8, "cushings_triad": True}, 4),
        ({"ice_score": 10, "seizure": "none", "oedema": "none", "deep_focal_weakness": False}, 0),
    ],
)
def test_neurotoxicity_takes_the_worst_axis(findings: dict[str, Any], grade: int | None) -> None:
    assert suggested_icans(seen(**findings)) == grade


def test_a_difference_is_a_question_on_the_same_scale_only() -> None:
    findings = {"temperature_c": 38.5, "hypotension": True, "ice_score": 10}
    agrees, differs, older = until_infused(), until_infused(), until_infused()
    agrees.assess(1, crs=2, findings=findings)
    differs.assess(1, crs=1, findings=findings)
    older.assess(1, crs=1, findings=findings, scale="lee_2014")

    assert "grade_difference" not in kinds(agrees.decide(1))
    alert = kinds(differs.decide(1))["grade_difference"]
    assert alert.action.startswith("Cytokine release syndrome. Provider: please confirm")
    assert "grade_difference" not in kinds(older.decide(1))


def tocilizumab(story: Story, day: int, hour: int, mg: float = 560) -> None:
    data = {
        "drug": "tocilizumab",
        "ndc": "50242-135-01",
        "dose_mg": mg,
        "wasted_mg": 0,
        "at": story.at(day, hour).isoformat(),
        "indication": "crs",
        "setting": "inpatient",
    }
    story.report(day, "cart.medication.administered", data, hour=hour)


def test_grade_two_reminds_until_the_drug_is_charted() -> None:
    story = until_infused()
    story.assess(2, crs=2)
    alert = kinds(story.decide(2))["crs_drug_reminder"]
    assert alert.action == "Consider per label; the clinician decides."
    tocilizumab(story, 2, 12)
    assert "crs_drug_reminder" not in kinds(story.decide(2))


@pytest.mark.parametrize(("second", "reminds"), [((2, 8), False), ((2, 9), True)])
def test_grade_one_reminds_when_it_lasts_for_more_than_a_day(second: tuple[int, int], reminds: bool) -> None:
    story = until_infused()
    story.assess(1, crs=1, hour=8)
    story.assess(second[0], crs=1, hour=second[1])

    assert ("crs_drug_reminder" in kinds(story.decide(2, 12))) is reminds


def test_resolution_ends_the_reminder() -> None:
    story = until_infused()
    story.assess(1, crs=2)
    story.assess(2, crs=0)

    assert "crs_drug_reminder" not in kinds(story.decide(2))


@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ([(1, 8, 800)], None),
        ([(1, 8, 801)], "largest"),
        ([(1, 8, 560), (1, 16, 560)], None),
        ([(1, 8, 560), (1, 15, 560)], "interval"),
        ([(1, 0, 560), (1, 8, 560), (1, 16, 560), (2, 0, 560)], None),
        ([(1, 0, 560), (1, 8, 560), (1, 16, 560), (1, 23, 560)], "in a day"),
        ([(1, 8, 560), (2, 8, 560), (3, 8, 560), (4, 8, 560), (5, 8, 560)], "in all"),
    ],
)
def test_the_limits_of_the_label_are_reminders(doses: list[tuple[int, int, float]], words: str | None) -> None:
    story = until_infused()
    for day, hour, mg in doses:
        tocilizumab(story, day, hour, mg)

    said = [alert.action.partition(". ")[0] for alert in story.decide(6).alerts if alert.kind == "crs_drug_limit"]

    assert any(words in text for text in said) if words else said == []


PRESSURE = st.fixed_dictionaries(
    {}, optional={"hypotension": st.booleans(), "vasopressors": st.integers(0, 4), "vasopressin": st.booleans()}
)
OXYGEN = st.one_of(
    st.just({}),
    st.sampled_from(["room_air", "blow_by", "face_mask", "venturi", "cpap", "ventilator"]).map(lambda o: {"oxygen": o}),
    st.floats(0, 15).map(lambda flow: {"oxygen": "nasal_cannula", "oxygen_l_min": flow}),
)
FEVER = {"temperature_c": 38.0}
NEURO = {
    "ice_score": st.integers(0, 10),
    "arousal": st.sampled_from(["spontaneous", "voice", "touch", "unarousable"]),
    "seizure": st.sampled_from(["none", "resolved_rapidly", "resolved_with_intervention", "prolonged"]),
    "deep_focal_weakness": st.booleans(),
    "oedema": st.sampled_from(["none", "focal", "diffuse"]),
    "posturing": st.booleans(),
    "cranial_nerve_vi_palsy": st.booleans(),
    "cushings_triad": st.booleans(),
}
WORSE: dict[str, list[Any]] = {
    "ice_score": [10, 9, 7, 6, 3, 2, 1, 0],
    "arousal": ["spontaneous", "voice", "touch", "unarousable"],
    "seizure": ["none", "resolved_rapidly", "prolonged"],
    "deep_focal_weakness": [False, True],
    "oedema": ["none", "focal", "diffuse"],
    "posturing": [False, True],
    "cranial_nerve_vi_palsy": [False, True],
    "cushings_triad": [False, True],
}
"""Each axis of neurotoxicity from the best finding to the worst."""


@given(PRESSURE, OXYGEN)
def test_cytokine_release_is_the_worse_of_its_axes(pressure: dict[str, Any], oxygen: dict[str, Any]) -> None:
    both = suggested_crs(seen(**FEVER, **pressure, **oxygen))
    assert both == max(suggested_crs(seen(**FEVER, **pressure)) or 0, suggested_crs(seen(**FEVER, **oxygen)) or 0)


@given(st.fixed_dictionaries({}, optional=NEURO), st.sampled_from(sorted(WORSE)), st.data())
def test_neurotoxicity_never_falls_when_a_finding_gets_worse(
    findings: dict[str, Any], axis: str, data: st.DataObject
) -> None:
    steps = WORSE[axis]
    better, worse = sorted(data.draw(st.lists(st.integers(0, len(steps) - 1), min_size=2, max_size=2)))
    before = suggested_icans(seen(**findings | {axis: steps[better]}))
    after = suggested_icans(seen(**findings | {axis: steps[worse]}))
    assert before is not None
    assert after is not None
    assert before <= after <= 4
    alone = [suggested_icans(seen(**{name: value})) for name, value in findings.items()]
    whole = suggested_icans(seen(**findings))
    assert whole is None or whole >= max(grade for grade in alone if grade is not None)


@pytest.mark.parametrize(("crs", "icans", "asked"), [(5, 3, False), (2, 5, False), (4, 4, True)])
def test_a_death_is_graded_under_one_of_both(crs: int, icans: int, asked: bool) -> None:
    story = until_infused()
    story.assess(1, crs=crs, icans=icans, findings={"death": True})
    assert ("grade_difference" in kinds(story.decide(1))) is asked


def test_grades_on_two_scales_are_a_question_to_the_provider() -> None:
    story = until_infused()
    story.assess(1, crs=1)
    story.assess(2, crs=0, scale="lee_2014")
    assert "toxicity_scales" not in kinds(story.decide(2))
    story.assess(3, crs=2, scale="lee_2014")
    assert kinds(story.decide(3))["toxicity_scales"].owner == "provider"


def test_the_timeline_shows_when_a_toxicity_began_and_ended() -> None:
    story = until_infused()
    for day, crs, icans in ((1, 0, 0), (2, 1, None), (3, 2, 1), (4, 0, 1), (5, 1, 0)):
        story.assess(day, crs=crs, icans=icans)
    shown = {
        (m.name, m.at.date().isoformat()) for m in story.decide(6).milestones if m.name.startswith(("crs", "icans"))
    }
    assert shown == {
        ("crs_onset", story.on(2)),
        ("crs_resolved", story.on(4)),
        ("crs_onset", story.on(5)),
        ("icans_onset", story.on(3)),
        ("icans_resolved", story.on(5)),
    }


def stocked(story: Story, day: int, doses: int) -> None:
    data = {"facility": "st_mary", "tocilizumab_doses": doses, "icu_backup": True}
    story.report(day, "cart.readiness.changed", data, hour=7)


def elsewhere(story: Story, day: int, hour: int, facility: str | None = "st_mary") -> None:
    """Another patient of the center was given a dose."""
    other = Story(day0=story.day0)
    tocilizumab(other, day, hour)
    (fact,) = other.facts
    changed = fact.data.model_copy(update={"facility": facility})
    name = f"other-{len(story.holders)}"
    story.holders.append(dataclasses.replace(fact, event_id=name, id=name, data=changed))


def short(story: Story, day: int) -> str:
    gate = next(gate for gate in story.decide(day).gates if gate.stage.value == "infusion")
    return next(r.missing for r in gate.requirements if r.key == "readiness.tocilizumab_on_hand.infusion_facility")


def test_doses_given_to_any_patient_of_the_center_reduce_its_stock_until_its_next_report() -> None:
    story = until_received()
    stocked(story, -3, 4)
    elsewhere(story, -4, 8)
    for hour in (8, 16):
        elsewhere(story, -3, hour)
    assert short(story, -2) == ""
    elsewhere(story, -2, 8)
    assert short(story, -2).endswith("3 of 4 reported doses were given since")
    assert "stock_missing" not in kinds(story.decide(-2))
    story.book("infusion", -1, -3, setting="inpatient")
    assert "stock_missing" in kinds(story.decide(-2))
    stocked(story, -1, 2)
    assert short(story, -1) == ""


def test_a_dose_elsewhere_or_without_a_place_does_not_reduce_the_stock_of_this_center() -> None:
    story = until_received()
    stocked(story, -3, 2)
    elsewhere(story, -2, 8, "lakeside")
    elsewhere(story, -2, 9, None)
    assert short(story, -1) == ""


@pytest.mark.parametrize(("minutes", "reminds"), [(479, True), (480, False)])
def test_the_interval_of_the_label_is_kept_to_the_minute(minutes: int, reminds: bool) -> None:
    story = until_infused()
    tocilizumab(story, 1, 0)
    first = story.facts[-1]
    at = first.occurred + timedelta(minutes=minutes)
    story.facts.append(
        dataclasses.replace(
            first, event_id="second", id="second", time=at, data=first.data.model_copy(update={"at": at})
        )
    )
    said = [alert for alert in story.decide(2).alerts if alert.kind == "crs_drug_limit"]
    assert bool(said) is reminds


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 24 * 6), min_size=1, max_size=8, unique=True))
def test_counts_of_the_label_agree_with_a_manual_count(hours: list[int]) -> None:
    story = until_infused()
    for hour in hours:
        tocilizumab(story, 1 + hour // 24, hour % 24)
    said = {alert.action.partition(". ")[0] for alert in story.decide(9).alerts if alert.kind == "crs_drug_limit"}
    ordered = sorted(hours)
    assert any("interval" in text for text in said) is any(b - a < 8 for a, b in itertools.pairwise(ordered))
    crowded = any(sum(start <= other < start + 24 for other in ordered) > 3 for start in ordered)
    assert any("in a day" in text for text in said) is crowded
    assert any("in all" in text for text in said) is (len(ordered) > 4)
