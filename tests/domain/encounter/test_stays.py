"""Bookings and stays have their last reported state, also after a reversal and a restart, in any order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from domain.encounter.facts import fold
from domain.encounter.record import Record
from tests.kit.stories import Story, kinds, until_infused

Said = tuple[int, str, dict[str, Any]]

STAY = {"admission_id": "V-1"}
BOOKING = {"appointment_id": "A-1"}
PLACE = {"stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}


def start(day: int, kind: str = "inpatient", said: int | None = None) -> Said:
    at = Story().at(day).isoformat()
    return day if said is None else said, "admission.started", STAY | {"facility": "st_mary", "at": at, "class": kind}


def change(day: int, kind: str) -> Said:
    return day, "admission.changed", STAY | {"at": Story().at(day).isoformat(), "class": kind}


def end(day: int) -> Said:
    return day, "admission.ended", STAY | {"at": Story().at(day).isoformat(), "discharge_status": "01"}


def undo(day: int, what: str = "admission") -> Said:
    return day, "admission.cancelled", STAY | {"what": what}


def book(day: int, starts: int) -> Said:
    return day, "appointment.booked", BOOKING | PLACE | {"starts_at": Story().at(starts).isoformat()}


def move(day: int, starts: int, **more: Any) -> Said:
    return day, "appointment.rescheduled", BOOKING | {"starts_at": Story().at(starts).isoformat()} | more


def cancel(day: int) -> Said:
    return day, "appointment.cancelled", dict(BOOKING)


def records(said: tuple[Said, ...]) -> list[Record]:
    """The record by every order of arrival."""
    story = Story()
    for day, kind, data in said:
        story.report(day, f"cart.{kind}", data)
    return [Record(fold(order)) for order in itertools.permutations(story.facts)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((start(0), undo(1)), []),
        ((start(0), undo(1), start(2)), [(2, 2, None)]),
        ((start(0), undo(1), start(2), undo(3)), []),
        ((start(5, said=5), undo(1)), []),
        ((start(0), end(3), undo(4, "discharge")), [(0, 0, None)]),
        ((start(0), end(3), undo(4, "discharge"), end(6)), [(0, 0, 6)]),
        ((start(0, "outpatient"), change(0, "inpatient")), [(0, 0, None)]),
        ((start(0, "outpatient"), change(1, "inpatient"), end(4)), [(0, 1, 4)]),
        ((start(0), change(1, "outpatient")), [(0, None, None)]),
        ((start(0, "observation"), change(1, "inpatient"), change(2, "inpatient")), [(0, 1, None)]),
        ((start(0), end(2), start(5)), [(5, 5, None)]),
        ((start(1), start(0, said=3)), [(0, 0, None)]),
    ],
)
def test_a_stay_has_its_last_reported_state(said: tuple[Said, ...], expected: list[Any]) -> None:
    at = Story().at
    wanted = [tuple(None if day is None else at(day) for day in stay) for stay in expected]
    for record in records(said):
        assert [(stay.started_at, stay.inpatient_from, stay.ended_at) for stay in record.stays] == wanted
        assert record.unbegun == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((book(0, 9), move(1, 10), cancel(2)), ("cancelled", 10)),
        ((book(0, 9), cancel(2), book(3, 12)), ("booked", 12)),
        ((book(0, 9), cancel(2), move(3, 12)), ("booked", 12)),
        ((book(4, 9), cancel(1)), ("cancelled", 9)),
        ((move(1, 10, **PLACE), move(2, 11)), ("booked", 11)),
        ((move(1, 10, **PLACE), book(0, 9)), ("booked", 10)),
        ((move(1, 10), move(2, 11, **PLACE), move(3, 12)), ("booked", 12)),
        ((cancel(1), move(2, 11, **PLACE)), ("booked", 11)),
    ],
)
def test_a_booking_has_its_last_reported_state(said: tuple[Said, ...], expected: tuple[str, int]) -> None:
    for record in records(said):
        assert [(a.status, a.starts_at) for a in record.appointments] == [(expected[0], Story().at(expected[1]))]
        assert record.unbegun == ()


def test_a_change_of_what_never_began_is_alerted_until_it_begins() -> None:
    story = until_infused()
    lost = story.report(2, "cart.admission.changed", {"admission_id": "V-9", "at": story.at(2).isoformat()})
    moved = story.report(
        2, "cart.appointment.rescheduled", {"appointment_id": "A-9", "starts_at": story.at(9).isoformat()}
    )
    events = {alert.events for alert in story.decide(2).alerts if alert.kind == "change_without_beginning"}
    assert events == {(lost,), (moved,)}
    began = {"admission_id": "V-9", "facility": "st_mary", "at": story.at(1).isoformat(), "class": "outpatient"}
    story.report(1, "cart.admission.started", began)
    story.report(1, "cart.appointment.booked", {"appointment_id": "A-9", "starts_at": story.at(8).isoformat()} | PLACE)
    assert "change_without_beginning" not in kinds(story.decide(3))


def test_another_payer_at_registration_is_alerted_until_it_is_put_right() -> None:
    story = until_infused()
    stay = {"admission_id": "V-9", "facility": "st_mary", "at": story.at(2).isoformat(), "class": "inpatient"}
    story.report(2, "cart.admission.started", stay | {"coverage": {"payer": "aetna", "plan": "PPO"}})
    assert "coverage_differs" in kinds(story.decide(2))
    own = Record(fold(story.facts)).payer
    changed = {"admission_id": "V-9", "at": story.at(3).isoformat(), "coverage": {"payer": own}}
    story.report(3, "cart.admission.changed", changed)
    assert "coverage_differs" not in kinds(story.decide(3))


def test_nothing_waits_for_the_end_of_an_outpatient_visit() -> None:
    story = until_infused()
    waits = {deadline.title for deadline in story.decide(1).deadlines}
    visit = {"admission_id": "V-9", "facility": "st_mary", "at": story.at(1).isoformat(), "class": "outpatient"}
    story.report(1, "cart.admission.started", visit)
    assert {deadline.title for deadline in story.decide(1).deadlines} == waits
    before = len(story.decide(1).deadlines)
    story.report(1, "cart.admission.started", visit | {"admission_id": "V-8", "class": "observation"})
    assert len(story.decide(1).deadlines) == before + 1
