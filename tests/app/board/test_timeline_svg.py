"""The timeline is drawn to scale, names every step and stays inside its frame, whatever the dates."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.board.timeline_svg import STARTS, WIDTH, draw, timeline_svg

START = datetime(2026, 5, 1, 9, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def milestone(name: str, day: float, planned: bool = False) -> dict[str, Any]:
    return {"name": name, "at": (START + timedelta(days=day)).isoformat(), "planned": planned, "events": []}


def dots(drawing: str) -> list[float]:
    return [float(one.get("cx", "")) for one in ET.fromstring(drawing).iter(f"{SVG}circle")]


def test_a_day_is_as_wide_as_any_other() -> None:
    picture = draw([milestone("referral", 0), milestone("apheresis", 10), milestone("infusion", 40)], None, 30)
    first, second, third = dots(picture.svg)
    assert abs((third - second) - 3 * (second - first)) < 1


def test_days_are_counted_from_the_infusion_or_from_the_first_step() -> None:
    steps = [milestone("referral", 0), milestone("apheresis", 10), milestone("infusion", 40)]
    assert [step.day for step in draw(steps, None, 30).steps] == [-40, -30, 0]
    assert [step.day for step in draw(steps[:2], None, None).steps] == [0, 10]


def test_vein_to_vein_is_drawn_from_the_collection_that_was_infused() -> None:
    steps = [
        milestone("apheresis", 0),
        milestone("manufacturing_failed", 14),
        milestone("apheresis", 34),
        milestone("infusion", 58),
    ]
    drawing = draw(steps, None, 24).svg
    assert "vein to vein: 24 days" in drawing
    path = re.search(r'd="M ?([\d.]+)[^"]*"[^>]*tl-bracket|tl-bracket[^>]*d="M ?([\d.]+)', drawing)
    assert path
    assert abs(float(path[1] or path[2]) - sorted(dots(drawing))[2]) < 1


def test_what_is_planned_looks_planned_and_now_is_marked() -> None:
    picture = draw(
        [milestone("referral", 0), milestone("apheresis", 10, planned=True)], START + timedelta(days=5), None
    )
    assert picture.svg.count("tl-planned") == 1
    assert ">now<" in picture.svg
    assert ">now<" not in draw([milestone("referral", 0)], START + timedelta(days=500), None).svg


def test_nothing_dated_gives_no_picture() -> None:
    assert draw([], START, None).svg == ""
    assert "<svg" in timeline_svg("An encounter", [], None)


def test_a_file_carries_its_style_and_the_page_does_not() -> None:
    steps = [milestone("referral", 0), milestone("infusion", 30)]
    assert "<style>" in timeline_svg("<An> encounter", steps, None)
    assert "&lt;An&gt; encounter: Timeline" in timeline_svg("<An> encounter", steps, None)
    assert "style" not in draw(steps, None, None).svg


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*STARTS, "admission", "discharge", "monitoring_end"]), st.floats(0, 400), st.booleans()
        ),
        min_size=1,
        max_size=25,
    )
)
def test_every_step_is_named_and_inside_the_frame(steps: list[tuple[str, float, bool]]) -> None:
    picture = draw([milestone(*step) for step in steps], START, None)
    root = ET.fromstring(picture.svg)
    height = float(root.get("viewBox", "").split()[3])
    assert len(dots(picture.svg)) == len(steps)
    assert all(0 <= x <= WIDTH for x in dots(picture.svg))
    texts = [
        (float(t.get("x", "")), float(t.get("y", "")), t.text or "", t.get("class")) for t in root.iter(f"{SVG}text")
    ]
    assert all(0 <= x <= WIDTH and 0 < y <= height for x, y, _, _ in texts)
    labels = [text for _, _, text, kind in texts if kind == "tl-label"]
    assert {name.replace("_", " ") for name, _, _ in steps} == {label.split(" · ")[0] for label in labels}
    places = [(x, y) for x, y, _, kind in texts if kind == "tl-label"]
    assert len(set(places)) == len(places)
