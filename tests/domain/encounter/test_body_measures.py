"""Body measures of a referral that do not fit each other are asked about, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.alerts.model import Severity
from tests.kit.patient import patient as named
from tests.kit.stories import Story, kinds, until_infused

KIND = "body_measures_implausible"


def asked(**measures: Any) -> dict[str, Any]:
    story = Story()
    story.refer(**({"bsa_m2": None} | measures))
    return kinds(story.decide(-44))


@pytest.mark.parametrize(
    ("measures", "words"),
    [
        ({"weight_kg": 154, "bsa_m2": 1.85}, "weight against body surface"),
        ({"weight_kg": 187, "height_cm": 176}, "weight against height"),
        ({"weight_kg": 70, "height_cm": 69}, "weight against height"),
        ({"weight_kg": 7, "bsa_m2": 1.85}, "weight against body surface"),
        ({"weight_kg": 70, "height_cm": 176, "bsa_m2": 1.35}, "body surface against weight and height"),
    ],
)
def test_pounds_inches_and_lost_digits_are_asked_about(measures: dict[str, Any], words: str) -> None:
    alert = asked(**measures)[KIND]
    assert (alert.severity, alert.owner) == (Severity.WARNING, "coordinator")
    assert words in alert.action.lower()
    assert not any(str(value) in f"{alert.title} {alert.action}" for value in measures.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(150, 200), st.integers(19, 40), st.sampled_from(("surface", "height", "both")))
def test_ordinary_patients_raise_no_question(height: int, bmi: int, documented: str) -> None:
    weight = round(bmi * (height / 100) ** 2, 1)
    surface = {"bsa_m2": round((height * weight / 3600) ** 0.5, 2)} if documented != "height" else {}
    tall = {"height_cm": height} if documented != "surface" else {}
    assert KIND not in asked(weight_kg=weight, **surface, **tall)


def test_a_child_is_not_measured_by_adults() -> None:
    patient = named(birth_date="2018-02-28")
    assert KIND not in asked(weight_kg=22, bsa_m2=0.85, patient=patient)
    assert KIND not in asked(weight_kg=18, height_cm=116, patient=patient)


def test_the_question_ends_with_the_corrected_referral_and_with_the_infusion() -> None:
    story = Story()
    story.refer(weight_kg=154)
    assert KIND in kinds(story.decide(-44))
    story.refer(day=-43)
    assert KIND not in kinds(story.decide(-42))
    assert KIND not in kinds(until_infused(weight_kg=154).decide(1))
