"""The vein-to-vein timeline as a picture, drawn to scale. Dates and step names only; no identifier of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import svg

WIDTH, MARGIN, AXIS, ROW = 1080, 60, 150, 22
LANES = 5
STAGES = ("apheresis", "manufacturing", "lymphodepletion", "infusion", "monitoring")


@dataclass(frozen=True, slots=True)
class Step:
    """One dated step: its name, its moment, whether it is still a plan."""

    name: str
    at: datetime
    planned: bool


def steps_of(milestones: Sequence[Mapping[str, Any]]) -> list[Step]:
    """Steps from an encounter answer's milestones, in order of time."""
    found = [Step(str(m["name"]), datetime.fromisoformat(str(m["at"])), bool(m["planned"])) for m in milestones]
    return sorted(found, key=lambda step: (step.at, step.name))


def timeline_svg(title: str, milestones: Sequence[Mapping[str, Any]], vein_to_vein: int | None) -> str:
    """An SVG of the steps over days counted from the infusion, or from the first step while there is none."""
    steps = steps_of(milestones)
    if not steps:
        return svg.SVG(width=WIDTH, height=60, elements=[_text(MARGIN, 30, title, "title")]).as_str()
    zero = next((s.at for s in steps if s.name.startswith("infusion")), steps[0].at)
    first, last = steps[0].at, steps[-1].at
    span = max((last - first).total_seconds(), 86400.0)

    def x(at: datetime) -> float:
        return MARGIN + (at - first).total_seconds() / span * (WIDTH - 2 * MARGIN)

    elements: list[svg.Element] = [svg.Style(text=STYLE), _text(MARGIN, 24, title, "title")]
    if vein_to_vein is not None:
        elements.append(_text(MARGIN, 44, f"vein to vein: {vein_to_vein} days", "sub"))
    elements.append(svg.Line(x1=MARGIN, x2=WIDTH - MARGIN, y1=AXIS, y2=AXIS, class_=["axis"]))
    for number, step in enumerate(steps):
        elements += _step(step, x(step.at), number, (step.at - zero).total_seconds() / 86400)
    height = AXIS + LANES * ROW + 40
    return svg.SVG(
        width=WIDTH, height=height, viewBox=svg.ViewBoxSpec(0, 0, WIDTH, height), elements=elements
    ).as_str()


def _step(step: Step, x: float, number: int, day: float) -> list[svg.Element]:
    """A dot on the axis and its label, above and below in turn so that close steps stay readable."""
    lane = number % LANES
    above = number % 2 == 0
    y = AXIS - 18 - lane * 16 if above else AXIS + 26 + lane * ROW
    anchor = "end" if x > WIDTH * 0.8 else "start"
    label = f"{step.name.replace('_', ' ')} · day {round(day):+d}"
    kind = "planned" if step.planned else "done"
    return [
        svg.Line(x1=x, x2=x, y1=AXIS, y2=y + (4 if above else -10), class_=["stem"]),
        svg.Circle(cx=x, cy=AXIS, r=4, class_=[kind]),
        _text(x, y, label, "label", anchor),
    ]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> svg.Text:
    return svg.Text(x=x, y=y, text=text, class_=[kind], text_anchor=anchor)  # type: ignore[arg-type]


STYLE = """
text { font-family: system-ui, sans-serif; fill: #222; }
.title { font-size: 16px; font-weight: 600; } .sub { font-size: 13px; } .label { font-size: 11px; }
.axis { stroke: #555; stroke-width: 2; } .stem { stroke: #bbb; stroke-width: 1; }
.done { fill: #1a6fb0; } .planned { fill: #fff; stroke: #1a6fb0; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #eee; } .axis { stroke: #aaa; } .stem { stroke: #555; } }
"""
