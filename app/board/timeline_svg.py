"""Draws the vein-to-vein timeline to scale.

It has dates and step names only, no patient identifiers. Colors and fonts are classes (`.tl-…`), so that a page can style
them under a strict content policy; `timeline_svg` returns a file with its own style.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from xml.sax.saxutils import escape

import svg

WIDTH, MARGIN = 1120, 24
BAND_TOP, BAND_HEIGHT, LANE, TEXT_WIDTH = 46, 26, 19, 5.9
TICKS: Final = (1, 2, 7, 14, 28, 56)
MOST_TICKS = 16
MOST_LANES = 5
STARTS: Final[Mapping[str, str]] = {
    "referral": "referral",
    "apheresis": "apheresis",
    "pickup": "manufacturing",
    "manufacturer_receipt": "manufacturing",
    "manufacturing_start": "manufacturing",
    "manufacturing_failed": "failed",
    "release": "return",
    "shipped": "return",
    "site_receipt": "return",
    "lymphodepletion": "lymphodepletion",
    "infusion": "monitoring",
}
"""The phase that each milestone starts."""

PHASES: Final[Mapping[str, str]] = {
    "referral": "Referral and clearance",
    "apheresis": "Apheresis",
    "manufacturing": "Manufacturing",
    "failed": "Manufacturing failed",
    "return": "Release and shipment",
    "lymphodepletion": "Lymphodepletion",
    "monitoring": "Monitoring",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One dated step: name, time, whether it is planned."""

    name: str
    at: datetime
    planned: bool
    day: int

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    @property
    def label(self) -> str:
        return f"{self.title} · day {self.day:+d}" if self.day else f"{self.title} · day 0"


@dataclass(frozen=True, slots=True)
class Picture:
    """The drawing, and its steps for a table."""

    svg: str
    steps: tuple[Step, ...]
    zero: str


def draw(milestones: Sequence[Mapping[str, Any]], now: datetime | None, vein_to_vein: int | None) -> Picture:
    """Draws the steps by day from the infusion, or from the first step without a given or booked infusion.

    Args:
        milestones: name, at (ISO) and planned of each, as in an encounter response.
        now: marks today if it is in the picture.
        vein_to_vein: days from collection to infusion.
    """
    steps, zero = _steps(milestones)
    if not steps:
        return Picture("", (), zero)
    scale = _Scale(steps[0].at, max(steps[-1].at, steps[0].at + timedelta(days=7)))
    labels, height = _labels(steps, scale)
    elements = [*_phases(steps, scale), *_axis(steps, scale), *_today(scale, now), *labels]
    elements += _vein_to_vein(steps, scale, vein_to_vein)
    body = "".join(element.as_str() for element in elements)
    title = _title(steps, vein_to_vein)
    drawing = (
        f'<svg class="timeline" role="img" aria-labelledby="tl-title" viewBox="0 0 {WIDTH} {height}" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="tl-title">{escape(title)}</title>{body}</svg>'
    )
    return Picture(drawing, tuple(steps), zero)


def timeline_svg(title: str, milestones: Sequence[Mapping[str, Any]], vein_to_vein: int | None) -> str:
    """Returns the drawing as a separate file with its style and title."""
    drawing = draw(milestones, None, vein_to_vein).svg
    opening, _, rest = drawing.partition("</title>")
    head, _, summary = opening.partition('<title id="tl-title">')
    if not drawing:
        return svg.SVG(width=WIDTH, height=60, elements=[svg.Text(x=MARGIN, y=30, text=title)]).as_str()
    return f'{head}<title id="tl-title">{escape(title)}: {summary}</title><style>{STYLE}</style>{rest}'


@dataclass(frozen=True, slots=True)
class _Scale:
    first: datetime
    last: datetime

    def x(self, at: datetime) -> float:
        share = (at - self.first).total_seconds() / (self.last - self.first).total_seconds()
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def _steps(milestones: Sequence[Mapping[str, Any]]) -> tuple[list[Step], str]:
    """Returns the steps in order of time, days counted in each step's own time zone."""
    dated = sorted((datetime.fromisoformat(str(m["at"])), str(m["name"]), bool(m["planned"])) for m in milestones)
    infusions = [at for at, name, _ in dated if name == "infusion"]
    zero = infusions[0] if infusions else (dated[0][0] if dated else None)
    counted = "infusion" if infusions else "the first step"
    return [Step(name, at, planned, (at.date() - zero.date()).days) for at, name, planned in dated if zero], counted


def _title(steps: Sequence[Step], vein_to_vein: int | None) -> str:
    span = f"Timeline from {steps[0].at:%Y-%m-%d} to {steps[-1].at:%Y-%m-%d}, {len(steps)} steps"
    return span + (f"; vein to vein {vein_to_vein} days" if vein_to_vein is not None else "")


def _phases(steps: Sequence[Step], scale: _Scale) -> Iterator[svg.Element]:
    """Yields a band for each phase, from its first step to that of the next phase."""
    starts: list[tuple[str, datetime, bool]] = []
    for step in steps:
        phase = STARTS.get(step.name)
        if phase and (not starts or starts[-1][0] != phase):
            starts.append((phase, step.at, step.planned))
    ends = [at for _, at, _ in starts[1:]] + [steps[-1].at] * bool(starts)
    dots = [scale.x(step.at) for step in steps]
    for (phase, at, planned), end in zip(starts, ends, strict=True):
        x, width = scale.x(at), round(scale.x(end) - scale.x(at), 1)
        if width <= 0:
            continue
        name = PHASES[phase]
        kind = ["tl-band", f"tl-{phase}", *(["tl-later"] if planned else [])]
        yield svg.Rect(x=x, y=BAND_TOP, width=width, height=BAND_HEIGHT, class_=kind)
        left = _beside_dots(x + 8, len(name) * TEXT_WIDTH, dots)
        if left + len(name) * TEXT_WIDTH < x + width - 4:
            yield svg.Text(x=left, y=BAND_TOP + 17, text=name, class_=["tl-phase"])


def _beside_dots(left: float, width: float, dots: Sequence[float]) -> float:
    """Returns the start of a name of that width that no dot covers."""
    for dot in dots:
        if left - 8 < dot < left + width + 6:
            left = dot + 8
    return left


def _axis(steps: Sequence[Step], scale: _Scale) -> Iterator[svg.Element]:
    """Yields days from zero, as many as are readable."""
    every = next((n for n in TICKS if scale.days / n <= MOST_TICKS), TICKS[-1])
    base = BAND_TOP + BAND_HEIGHT
    zero = steps[0].at - timedelta(days=steps[0].day)
    for count in range(-(-steps[0].day // every) - 1, steps[-1].day // every + 2):
        at = zero + timedelta(days=count * every)
        if not scale.first <= at <= scale.last:
            continue
        x = scale.x(at)
        yield svg.Line(x1=x, x2=x, y1=base, y2=base + 6, class_=["tl-tick"])
        yield _text(x, base + 18, f"{count * every:+d}" if count else "day 0", "tl-day", "middle")


def _today(scale: _Scale, now: datetime | None) -> Iterator[svg.Element]:
    if now is None or not scale.first <= now <= scale.last:
        return
    x = scale.x(now)
    yield svg.Line(x1=x, x2=x, y1=BAND_TOP - 8, y2=BAND_TOP + BAND_HEIGHT + 8, class_=["tl-now"])
    yield _text(x, BAND_TOP - 12, "now", "tl-nowtext", "middle")


def _vein_to_vein(steps: Sequence[Step], scale: _Scale, days: int | None) -> Iterator[svg.Element]:
    """Yields the bracket from collection to infusion."""
    infusion = next((step for step in steps if step.name == "infusion" and not step.planned), None)
    collections = [step for step in steps if step.name == "apheresis" and not step.planned]
    first = next((step for step in collections if infusion and infusion.day - step.day == days), None)
    if infusion is None or first is None:
        return
    left, right, y = scale.x(first.at), scale.x(infusion.at), 26
    yield svg.Path(d=[svg.M(left, y + 8), svg.L(left, y), svg.L(right, y), svg.L(right, y + 8)], class_=["tl-bracket"])
    yield _text((left + right) / 2, y - 7, f"vein to vein: {days} days", "tl-vein", "middle")


def _labels(steps: Sequence[Step], scale: _Scale) -> tuple[list[svg.Element], int]:
    """Returns dots with their labels, and the total height.

    Labels are placed from the last step to the first, each lower than overlapping later ones, so that no stem crosses a
    label unless that needs too many lanes.
    """
    top, middle = BAND_TOP + BAND_HEIGHT + 44, BAND_TOP + BAND_HEIGHT / 2
    stems: list[svg.Element] = []
    drawn: list[svg.Element] = []
    placed: list[tuple[float, int]] = []
    for step, label in reversed(_grouped(steps)):
        x, width = scale.x(step.at), len(label) * TEXT_WIDTH
        left = min(x, WIDTH - MARGIN - width)
        below = {lane for begin, lane in placed if begin < left + width + 6}
        lane = 1 + max(below, default=-1)
        if lane > MOST_LANES:
            lane = min(set(range(lane + 1)) - below)
        placed.append((left, lane))
        y = top + lane * LANE
        stems.append(svg.Path(d=[svg.M(x, middle), svg.L(x, y - 11)], class_=["tl-stem"]))
        drawn.append(_text(left, y, label, "tl-label"))
    for step in steps:
        kind = "tl-planned" if step.planned else "tl-done"
        drawn.append(svg.Circle(cx=scale.x(step.at), cy=middle, r=4.5, class_=[kind]))
    return [*stems, *drawn], top + (1 + max(lane for _, lane in placed)) * LANE


def _grouped(steps: Sequence[Step]) -> list[tuple[Step, str]]:
    """Returns steps with labels; steps of one name on consecutive days share a label."""
    runs: list[list[Step]] = []
    for step in steps:
        last = runs[-1] if runs else []
        if last and last[-1].name == step.name and step.day - last[-1].day <= 1 and last[-1].planned == step.planned:
            last.append(step)
        else:
            runs.append([step])
    return [(run[0], run[0].label + (f" to {run[-1].day:+d}" if run[-1].day > run[0].day else "")) for run in runs]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> svg.Text:
    return svg.Text(x=round(x, 1), y=y, text=text, class_=[kind], text_anchor=anchor)  # type: ignore[arg-type]


STYLE = """
text { font-family: system-ui, sans-serif; font-size: 11.5px; fill: #222; }
.tl-band { fill: #d5dde5; } .tl-manufacturing { fill: #bcd3ea; } .tl-failed { fill: #f0c4bd; } .tl-return { fill: #c9dcd2; }
.tl-lymphodepletion { fill: #eed9ae; } .tl-monitoring { fill: #d6cbe8; } .tl-later { opacity: 0.45; }
.tl-tick, .tl-stem { stroke: #8a949e; fill: none; } .tl-bracket { stroke: #222; fill: none; }
.tl-now { stroke: #b3261e; stroke-width: 2; } .tl-done { fill: #14559c; }
.tl-planned { fill: #fff; stroke: #14559c; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #eee; } .tl-phase { fill: #222; } .tl-bracket { stroke: #eee; } }
"""
