"""A donation number is the same with and without its check character, and a misread one is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.events import InvalidEvent, parse_data
from domain.events.cells import CustodyRecorded
from domain.events.din import CHARACTERS, check_character, checked

PUBLISHED = "G123498654321"
"""The worked example of the transfusion services of the United Kingdom (guidelines, annex 2): its check character is H."""
numbers = st.from_regex(r"[A-NP-Z1-9][A-Z0-9]{4}[0-9]{8}", fullmatch=True)


def scanned(din: str) -> CustodyRecorded:
    data = {"step": "packed", "coi_id": "C", "by": "x", "location": "lab", "at": "2026-03-02T09:00:00Z", "din": din}
    return CustodyRecorded.model_validate_json(json.dumps(data))


def test_the_published_example() -> None:
    assert check_character(PUBLISHED) == "H"
    assert scanned("G1234 98 654321 H").din == scanned(f"{PUBLISHED}H").din == scanned(PUBLISHED).din == PUBLISHED


def test_a_check_character_that_does_not_fit_names_field_and_fix() -> None:
    with pytest.raises(ValidationError) as caught:
        scanned("G1234 98 654321 J")
    (error,) = caught.value.errors()
    assert error["loc"] == ("din",)
    assert "check character" in error["msg"]
    assert PUBLISHED not in error["msg"]


@pytest.mark.parametrize(
    "own", ["W000026A00001", "DIN-2", "LAB 7", "A99992612345", "A9999261234567X", "12345678901234", f"{PUBLISHED}J"]
)
def test_a_number_of_a_facility_is_not_changed(own: str) -> None:
    assert scanned(own).din == own


def test_a_number_on_record_stays_readable_when_a_check_comes_later() -> None:
    data = {"step": "packed", "coi_id": "C", "by": "x", "location": "lab", "at": "2026-03-02T09:00:00Z"}
    data["din"] = "G1234 98 654321 J"
    with pytest.raises(InvalidEvent):
        parse_data("cart.custody.recorded", data)
    assert parse_data("cart.custody.recorded", data, kept=True).model_dump()["din"] == data["din"]


@given(numbers, st.integers(0, 12), st.sampled_from(CHARACTERS[:36]))
def test_one_character_misread_is_always_found(din: str, place: int, other: str) -> None:
    typed = din + check_character(din)
    assert checked(typed) == din
    misread = typed[:place] + other + typed[place + 1 :]
    if misread != typed:
        assert check_character(misread[:13]) != typed[13]


@given(numbers, st.integers(0, 11))
def test_two_neighbours_exchanged_are_always_found(din: str, place: int) -> None:
    swapped = din[:place] + din[place + 1] + din[place] + din[place + 2 :]
    assert (check_character(swapped) == check_character(din)) is (swapped == din)
