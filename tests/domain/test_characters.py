"""Control characters and marks of writing direction: refused in names, numbers and text, with the field named."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import InvalidEvent, parse
from tests.kit import events as e

RIGHT_TO_LEFT = "\u202e"


def problems(event: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidEvent) as refused:
        parse(event)
    return [one.path for one in refused.value.problems]


@pytest.mark.parametrize(
    "mark", ["\x00", "\x07", "\x1b", "\x7f", "\x85", RIGHT_TO_LEFT, "\u200f", "\u2066", "\u2028", "\n", "\t"]
)
def test_a_name_or_number_with_one_is_refused_by_its_field(mark: str) -> None:
    referral = e.referral()
    patient = referral["data"]["patient"]
    named = patient | {"name": patient["name"] | {"family": f"Sam{mark}ple"}}
    assert problems(referral | {"data": referral["data"] | {"patient": named}}) == ["data.patient.name.family"]
    numbered = patient | {"mrn": f"M{mark}1"}
    assert problems(referral | {"data": referral["data"] | {"patient": numbered}}) == ["data.patient.mrn"]
    assert problems(referral | {"subject": f"ORD{mark}1"}) == ["subject"]


def cancelled(reason: str) -> dict[str, Any]:
    return e.event("c-1", "cart.appointment.cancelled", {"appointment_id": "A-1", "reason": reason})


def test_free_text_may_hold_line_ends_and_tabs_and_nothing_else() -> None:
    parse(cancelled("patient ill\r\n\tcalled at nine"))
    for mark in ("\x07", RIGHT_TO_LEFT):
        assert problems(cancelled(f"patient{mark}ill")) == ["data.reason"]


def test_letters_of_every_script_and_joined_signs_pass() -> None:
    for text in ("Zoë Nuñez-O’Brien", "مريم", "李小龍", "क्‍ष", "e\u0301"):
        parse(cancelled(text))
