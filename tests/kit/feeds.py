"""The scenarios of the repository as events and as facts, decided by the domain alone, whole or cut where an event is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.tools.scenario_expectations import scenarios
from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.events import HOLDER_TYPES, EventData, parse
from domain.rulebook import Rulebook
from domain.site import Site
from intake.scenario_feeds import expand, load_feed
from tests.kit.files import SCENARIOS as FOLDER

Event = dict[str, Any]
Stop = Callable[[Event], bool]

ANCHOR = date(2026, 6, 10)
"""Day 0 of the feeds unless a test needs another."""
MCL, B_ALL, OUTPATIENT = "a_mcl_medicare_inpatient", "b_ball_commercial_inpatient", "c_mcl_outpatient_crs"
SCENARIOS = {scenario.feed.name[0]: scenario for scenario in scenarios()}
"""Feed and expectations by the letter of the scenario."""


def events_of(name: str, parts: Iterable[str] | None = None, anchor: date = ANCHOR) -> list[Event]:
    """The events of a scenario, or of some of its parts."""
    return expand(load_feed(FOLDER / f"{name}.json"), anchor, parts=None if parts is None else set(parts))


def fact_of(event: Mapping[str, Any], received: datetime | None = None) -> Fact[EventData]:
    """The fact of an event, received at its own time or at the given one."""
    envelope, data = parse(event)
    return Fact(f"evt_{envelope.id}", envelope.source, envelope.id, envelope.time, received or envelope.time, data)


def decided(
    events: Iterable[Mapping[str, Any]], site: Site, rules: Rulebook, now: datetime, received: datetime | None = None
) -> Decision:
    """What the domain decides on the events of one patient, and on those about holders of certificates."""
    facts = [fact_of(event, received) for event in events]
    own = fold(fact for fact in facts if fact.type not in HOLDER_TYPES)
    holders = fold(fact for fact in facts if fact.type in HOLDER_TYPES)
    return decide(own, site, rules, now, holders.all)


def kind(name: str, step: str | None = None) -> Stop:
    """Matches events of a type, and of a custody step."""
    return lambda event: event["type"] == name and (step is None or event["data"].get("step") == step)


def booking(stage: str) -> Stop:
    """Matches the booking of a stage."""
    return lambda event: event["type"] == "cart.appointment.booked" and event["data"]["stage"] == stage


def cut(letter: str, missing: Stop, run: str) -> tuple[list[Event], Event]:
    """A feed up to the event that does not come, so anchored that the last one before it is just past."""
    feed = SCENARIOS[letter].feed
    probe = expand(feed, datetime.now(UTC).date(), suffix=run)
    at = next(number for number, event in enumerate(probe) if missing(event))
    last = datetime.fromisoformat(probe[at - 1]["time"])
    anchor = datetime.now(UTC).date() - (last.date() - datetime.now(UTC).date()) - timedelta(days=1)
    events = expand(feed, anchor, suffix=run)
    return [event for event in events[:at] if not missing(event)], events[at]


CUSTODY = "cart.custody.recorded"


SAME_PATIENT_OTHER_PRODUCT = {
    '"tecartus"': '"yescarta"',
    '"mcl"': '"lbcl"',
    "C83.18": "C83.38",
    "71287-219": "71287-119",
    "Q2053": "Q2041",
    "XW033M7": "XW033H7",
}


def translated(text: str) -> str:
    for old, new in SAME_PATIENT_OTHER_PRODUCT.items():
        text = text.replace(old, new)
    return text
