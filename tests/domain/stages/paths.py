"""The ways an encounter goes, at every stage: what each leads to. `python -m tests.domain.stages.paths` prints the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.decision import Decision
from domain.events.access import AppointmentBooked
from tests.domain.stages.stories import BAG, Story, until_collected, until_infused, until_received

HEAD = """# Paths

What each path leads to when it is taken at each stage: stage or outcome, claims with what holds them, alerts that open.
The patient of the table has mantle cell lymphoma and a commercial payer. Made by `python -m tests.domain.stages.paths`;
`tests/domain/stages/test_path_table.py` proves every cell.
"""


def _booked(story: Story, stage: str, day: int) -> Story:
    story.book(stage, day, day - 10, setting="inpatient" if stage == "infusion" else "outpatient")
    return story


def _referred() -> Story:
    story = Story()
    story.refer(coverage={"payer": "aetna", "member_id": "X"})
    story.authorize(-42, -42, 60)
    return _booked(story, "apheresis", -24)


def _in_manufacture() -> Story:
    story = until_collected("aetna")
    story.hand_over(-24, "courier_pickup", hour=16)
    story.hand_over(-23, "manufacturing_start")
    return story


def _before_infusion() -> Story:
    story = until_received("aetna")
    story.deplete()
    return _booked(story, "infusion", 0)


AT: dict[str, tuple[Callable[[], Story], int]] = {
    "apheresis": (_referred, -30),
    "manufacturing": (_in_manufacture, -20),
    "lymphodepletion": (lambda: _booked(until_received("aetna"), "lymphodepletion", -5), -6),
    "infusion": (_before_infusion, -1),
    "monitoring": (lambda: until_infused("aetna"), 3),
}
"""Each stage with a story that stands in it, and the day on which the path is taken."""


def _last_booking(story: Story) -> str | None:
    booked = [fact.data for fact in story.facts if isinstance(fact.data, AppointmentBooked)]
    return booked[-1].appointment_id if booked and booked[-1].starts_at > story.at(-25) else None


def _moved(story: Story, day: int) -> None:
    booking = _last_booking(story)
    if booking is not None:
        story.tell(
            day,
            "cart.appointment.rescheduled",
            {"appointment_id": booking, "starts_at": story.at(day + 20).isoformat()},
        )


def _gone(what: str) -> Callable[[Story, int], None]:
    def take(story: Story, day: int) -> None:
        booking = _last_booking(story)
        if booking is not None:
            story.tell(day, f"cart.appointment.{what}", {"appointment_id": booking})

    return take


def _left(reason: str) -> Callable[[Story, int], None]:
    return lambda story, day: void(story.withdraw(day, reason))


def void(_: object) -> None:
    """Forget a value."""


def _failed(story: Story, day: int) -> None:
    story.tell(
        day, "cart.manufacturing.failed", {"coi_id": "COI-1", "at": story.at(day).isoformat(), "reason": "no growth"}
    )


def _destroyed(story: Story, day: int) -> None:
    data = {"bag_id": BAG, "disposition": "destroy", "reason": "warm", "role": "director", "signer": "staff-9"}
    story.tell(day, "cart.disposition.signed", data)


def _planned(change: dict[str, Any]) -> Callable[[Story, int], None]:
    return lambda story, day: void(story.tell(day, "cart.plan.changed", change | {"reason": "reviewed"}))


def _readmitted(story: Story, day: int) -> None:
    story.admit(day, stay="ADM-9")


TAKE: dict[str, Callable[[Story, int], None]] = {
    "goes on": lambda story, day: None,
    "rescheduled by 20 days": _moved,
    "cancelled": _gone("cancelled"),
    "missed": _gone("missed"),
    "manufacture fails": _failed,
    "bag destroyed": _destroyed,
    "other infusion centre": _planned({"facilities": {"apheresis": "st_mary", "infusion": "lakeside"}}),
    "other product": _planned({"product": "yescarta", "indication": "lbcl"}),
    "admitted again": _readmitted,
    "withdrawn": _left("choice"),
    "progression": _left("progression"),
    "death": _left("death"),
}


def decided(path: str, stage: str) -> Decision:
    """What should be two days after the path was taken."""
    make, day = AT[stage]
    story = make()
    TAKE[path](story, day)
    return story.decide(day + 2)


def cell(decision: Decision) -> str:
    """A decision in one cell."""
    end = decision.outcome.value if decision.outcome else decision.stage.value
    claims = [claim.key + (" held" if claim.errors else "" if claim.ready else " waits") for claim in decision.claims]
    alerts = sorted({alert.kind for alert in decision.alerts})
    return "; ".join(filter(None, (f"**{end}**", ", ".join(claims), ", ".join(alerts))))


def table() -> str:
    """The whole document."""
    lines = [HEAD, "| path | " + " | ".join(AT) + " |", "|---" * (len(AT) + 1) + "|"]
    lines += [f"| {path} | " + " | ".join(cell(decided(path, stage)) for stage in AT) + " |" for path in TAKE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
