"""The feed format: days count from the anchor, ids are stable, mistakes are named."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import parse
from intake.scenario_feeds import Feed, FeedError, expand, load_feed

ANCHOR = date(2026, 3, 9)


def feed(*events: dict[str, Any], **changes: Any) -> Feed:
    body = {
        "name": "small",
        "title": "A small feed",
        "payer": "medicare",
        "admission_day": None,
        "subject": "ORD-1{run}",
        "zone": "America/New_York",
        "source": "urn:test:one",
        "events": list(events),
    }
    return Feed.model_validate(body | changes)


def event(day: int = 0, at: str = "09:00", **changes: Any) -> dict[str, Any]:
    return {"day": day, "at": at, "id": f"e{day}", "type": "cart.encounter.withdrawn", "data": {}} | changes


def test_day_zero_is_the_anchor_in_the_zone_of_the_feed() -> None:
    [winter, summer] = expand(feed(event(-3), event(0)), ANCHOR)

    assert winter["time"] == "2026-03-06T09:00:00-05:00"
    assert summer["time"] == "2026-03-09T09:00:00-04:00", "the clocks went forward on 8 March"


def test_relative_texts_become_dates_and_moments() -> None:
    data = {"on": "@-5", "at": "@2T07:30", "today": "@day", "now": "@time", "list": [{"x": "@0"}], "text": "a@b"}

    [only] = expand(feed(event(1, "10:15", data=data)), ANCHOR)

    assert only["data"] == {
        "on": "2026-03-04",
        "at": "2026-03-11T07:30:00-04:00",
        "today": "2026-03-10",
        "now": "2026-03-10T10:15:00-04:00",
        "list": [{"x": "2026-03-09"}],
        "text": "a@b",
    }


def test_a_suffix_distinguishes_runs_everywhere() -> None:
    given_feed = feed(event(data={"bag_id": "BAG{run}"}))

    [one], [two] = expand(given_feed, ANCHOR, suffix="-1"), expand(given_feed, ANCHOR, suffix="-2")

    assert (one["subject"], two["subject"]) == ("ORD-1-1", "ORD-1-2")
    assert (one["data"]["bag_id"], two["data"]["bag_id"]) == ("BAG-1", "BAG-2")
    assert one["id"] != two["id"]


def test_a_subject_is_replaced_but_a_holder_keeps_its_own() -> None:
    mine, holder = event(0), event(1, subject="lakeside")

    answer = expand(feed(mine, holder), ANCHOR, subject="ORD-77")

    assert [e["subject"] for e in answer] == ["ORD-77", "lakeside"]


def test_a_feed_can_be_posted_without_a_part() -> None:
    whole = feed(event(0, part="first"), event(1, part="last"))

    assert [e["id"] for e in expand(whole, ANCHOR, parts={"first"})] == ["small/2026-03-09/e0"]
    assert whole.parts == ("first", "last")


def test_another_anchor_gives_other_ids() -> None:
    """The same id with another body would be a conflict at the inbox."""
    [one], [two] = expand(feed(event()), ANCHOR), expand(feed(event()), ANCHOR + timedelta(days=1))

    assert one["id"] != two["id"]


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 23)), min_size=1, max_size=12, unique=True))
def test_events_come_in_order_of_time(moments: list[tuple[int, int]]) -> None:
    given_feed = feed(*(event(day, f"{hour:02d}:00", id=f"{day}/{hour}") for day, hour in moments))

    days = [e["time"][:13] for e in expand(given_feed, ANCHOR)]

    assert days == sorted(days)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"zone": "Mars/Base"}, "zone"),
        ({"events": [event(data={"on": "@soon"})]}, "event e0: data.on"),
        ({"events": [event(data={"at": "@1T29:00"})]}, "event e0: data.at"),
        ({"events": [event(), event()]}, "e0"),
        ({"events": [event(at="9 o'clock")]}, "event e0: at"),
        ({"events": [event(extra=1)]}, "event e0: extra"),
        ({"events": [event(data={"reason": "holiday"})]}, "event e0: data.reason"),
        ({"events": []}, "events"),
    ],
)
def test_a_mistake_names_file_event_and_field(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    body = feed(event(data={"reason": "choice"})).model_dump(mode="json") | change
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(body))

    with pytest.raises(FeedError) as refused:
        load_feed(path)

    assert str(refused.value).startswith("broken.json: ")
    assert named in str(refused.value)


def test_what_is_not_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"name":\n oops}')

    with pytest.raises(FeedError, match=r"broken\.json: line 2"):
        load_feed(path)


def test_expanding_twice_is_the_same(tmp_path: Path) -> None:
    given_feed = feed(event(data={"reason": "choice", "at": "@time"}))

    assert expand(given_feed, ANCHOR) == expand(given_feed, ANCHOR)
    parse(expand(given_feed, ANCHOR)[0])
