"""The synthetic cohort: the same for the same seed, valid by the event catalog, drawn by its rates, without real persons."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli.main import cli
from app.cli.simulate import cohort
from app.tools.cohort import draw, events_of, read_rates
from app.tools.cohort.feeds import FeedBuilder
from app.tools.cohort.sampling import Course, Journey
from domain.events import parse
from domain.rulebook import Rulebook
from domain.rulebook.rows import Code, Payer

UNTIL = date(2026, 11, 23)
RATES = read_rates()
MANY = [draw(RATES, 11, number, UNTIL, 365) for number in range(2000)]


def share(of: list[Journey], what: str) -> float:
    return sum(bool(getattr(journey, what)) for journey in of) / len(of)


def test_the_same_seed_gives_the_same_cohort() -> None:
    assert list(cohort(12, 5, 90, UNTIL)) == list(cohort(12, 5, 90, UNTIL))
    assert list(cohort(12, 6, 90, UNTIL)) != list(cohort(12, 5, 90, UNTIL))


def test_a_larger_cohort_begins_with_the_smaller_one() -> None:
    small = list(cohort(5, 5, 90, UNTIL))
    assert list(cohort(9, 5, 90, UNTIL))[: len(small)] == small


@given(seed=st.integers(0, 10**6), number=st.integers(1, 10**4), days=st.integers(1, 800))
@settings(max_examples=40, deadline=None)
def test_every_event_is_valid_unique_and_not_after_the_last_day(seed: int, number: int, days: int) -> None:
    builder = BUILDER
    events = events_of(builder, draw(RATES, seed, number, UNTIL, days), UNTIL)
    for event in events:
        parse(event)
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert [event["time"][:10] for event in events] == sorted(event["time"][:10] for event in events)
    assert all(event["time"][:10] <= UNTIL.isoformat() for event in events)


def rules() -> Rulebook:
    from store.config import read_rulebook

    return read_rulebook("current")


RULES = rules()
BUILDER = FeedBuilder(RULES)


@pytest.mark.parametrize("indication", ["mcl", "b_all"])
def test_toxicity_and_failures_come_at_the_rates_of_the_guide(indication: str) -> None:
    mine = [journey for journey in MANY if journey.indication == indication]
    for syndrome in ("crs", "icans"):
        courses = [getattr(journey, syndrome) for journey in mine]
        graded = sum(course.grade > 0 for course in courses) / len(courses)
        severe = sum(course.grade >= 3 for course in courses) / len(courses)
        assert graded == pytest.approx(RATES.share(f"{syndrome}_any", indication), abs=0.05)
        assert severe == pytest.approx(RATES.share(f"{syndrome}_severe", indication), abs=0.05)
    assert share(mine, "replacement_days") == pytest.approx(RATES.share("manufacture_failed", indication), abs=0.03)


def test_payers_are_those_of_the_rulebook_and_old_enough_for_their_plan() -> None:
    for journey in MANY[:300]:
        RULES.one(Payer, journey.anchor, key=journey.payer)
        row = next(each for each in RATES.payers_of(journey.indication) if each.key == journey.payer)
        assert row.ages[0] <= journey.age_days / 365 <= row.ages[1] + 1


def test_every_number_names_its_source() -> None:
    for row in (*RATES.paths, *RATES.shares, *RATES.spans, *RATES.payers):
        assert row.source
        assert row.status != "guide" or any(source.startswith(("G", "corrections")) for source in row.source)


@given(st.integers(0, 4), st.integers(1, 6), st.integers(1, 7))
def test_a_course_peaks_once_and_is_over_in_the_end(grade: int, first: int, length: int) -> None:
    course = Course(grade, first, first + length - 1)
    days = [course.on(day) for day in range(30)]
    assert max(days) == grade
    assert days[0] == 0
    assert days.count(grade) == 1 or grade <= 1
    assert course.on(first + length) == 0


def journeys(what: str) -> Journey:
    """The first journey with that turn, complete by the last day."""
    return next(
        journey
        for journey in MANY
        if getattr(journey, what) is not None
        and getattr(journey, what) is not False
        and journey.anchor < UNTIL - timedelta(days=40)
        and (what == "withdrawn" or journey.withdrawn is None)
    )


def types(journey: Journey) -> Counter[str]:
    return Counter(event["type"] for event in events_of(BUILDER, journey, UNTIL))


def test_a_failed_manufacture_brings_a_second_collection_after_the_failure() -> None:
    journey = journeys("replacement_days")
    events = events_of(BUILDER, journey, UNTIL)
    collected = [event for event in events if event["type"] == "cart.apheresis.completed"]
    failed = next(event for event in events if event["type"] == "cart.manufacturing.failed")
    assert [event["data"]["collection_ordinal"] for event in collected] == [1, 2]
    assert collected[0]["time"] < failed["time"] < collected[1]["time"]
    assert events[0]["type"] == "cart.referral.received"


def test_a_moved_booking_was_booked_for_an_earlier_day() -> None:
    events = events_of(BUILDER, journeys("moved_days"), UNTIL)
    booked = {e["data"]["appointment_id"]: e["data"]["starts_at"] for e in events if e["type"].endswith("booked")}
    moved = {e["data"]["appointment_id"]: e["data"]["starts_at"] for e in events if e["type"].endswith("rescheduled")}
    assert len(moved) == 2
    assert all(booked[name] < later for name, later in moved.items())


def test_a_missing_document_arrives_later_or_never() -> None:
    journey = journeys("missing_document")
    events = events_of(BUILDER, journey, UNTIL)
    late = [event for event in events if event["id"].endswith("/late-document")]
    referral = next(event for event in events if event["type"] == "cart.referral.received")
    assert len(late) == (journey.document_delay is not None)
    assert all(event["data"] not in referral["data"]["evidence"] for event in late)


def test_nothing_is_done_after_a_withdrawal() -> None:
    events = events_of(BUILDER, journeys("withdrawn"), UNTIL)
    assert events[-1]["type"] == "cart.encounter.withdrawn"
    assert "cart.infusion.started" not in {event["type"] for event in events}


def test_late_coding_is_not_sent() -> None:
    assert types(journeys("coding_late"))["cart.coding.completed"] <= 1
    assert (
        types(next(j for j in MANY if j.coding_late and j.template.endswith("inpatient")))["cart.coding.completed"] == 0
    )


def test_the_coded_grade_is_the_documented_one() -> None:
    stays = [j for j in MANY[:400] if j.template.endswith("_inpatient") and not j.coding_late and j.withdrawn is None]
    for journey in [j for j in stays if j.anchor < UNTIL - timedelta(days=40)][:40]:
        events = events_of(BUILDER, journey, UNTIL)
        coded = next(event for event in events if event["type"] == "cart.coding.completed")["data"]["other_diagnoses"]
        for syndrome in ("crs", "icans"):
            grades = [e["data"][f"{syndrome}_grade"] for e in events if e["type"] == "cart.toxicity.assessed"]
            rows = {row.code: row.grade for row in RULES.table(Code) if row.role == syndrome}
            assert [rows[each["code"]] for each in coded if each["code"] in rows] == (
                [str(max(grades))] if max(grades) else []
            )


def test_persons_are_recognizably_invented() -> None:
    referral = next(event for events in cohort(3, 1, 60, UNTIL) for event in events)
    assert referral["data"]["patient"]["name"]["family"] in RATES.names.family
    assert referral["subject"].startswith("ORD-s1n")


def test_the_command_writes_the_events_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "events.json"
    arguments = ["simulate", "--encounters", "2", "--seed", "3", "--until", "2026-11-23", "--out", str(out)]
    answer = CliRunner().invoke(cli, arguments)
    assert answer.exit_code == 0, answer.output
    assert out.read_text().count('"specversion"') > 2


def test_the_command_posts_and_fails_when_an_event_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("t")
    sent: list[int] = []

    def answer(method: str, url: str, *, json: list[object], **rest: object) -> httpx.Response:
        sent.append(len(json))
        kinds = ["accepted"] * (len(json) - 1) + ["quarantined" if len(sent) == 2 else "duplicate"]
        return httpx.Response(202, json={"receipts": [{"disposition": kind} for kind in kinds]})

    monkeypatch.setattr("app.client.httpx.request", answer)
    arguments = ["simulate", "--encounters", "3", "--seed", "3", "--data-dir", str(tmp_path), "--url", "http://x"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert "1 quarantined" in done.output
    assert len(sent) <= 3
