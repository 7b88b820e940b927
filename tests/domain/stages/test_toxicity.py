"""Documented grades against findings (Lee 2019, corrections F): questions only, and the limits of the label."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.care import Findings
from domain.toxicity import suggested_crs, suggested_icans
from tests.domain.stages.stories import Story, kinds, until_infused


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
    assert alert.action.startswith("Question to the provider")
    assert alert.title.endswith("cytokine release syndrome")
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
    story.tell(day, "cart.medication.administered", data, hour=hour)


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

    said = [alert.title for alert in story.decide(6).alerts if alert.kind == "crs_drug_limit"]

    assert any(words in title for title in said) if words else said == []
