"""Each scenario through the real workflow, live: the clock runs from event to event, then over the monitoring window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from intake.feeds import expand, load_feed
from tests.workflows.world import World

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in SCENARIOS.glob("*.expected.json"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_scenario_runs_to_its_end(world: World, name: str) -> None:
    feed = load_feed(SCENARIOS / f"{name}.json")
    first = min(event.day for event in feed.events)
    anchor = datetime.now(UTC).date() - timedelta(days=first)
    events = expand(feed, anchor, suffix=f"-wf-{name[0]}")
    encounter = await play(world, events)
    await world.skip(encounter, timedelta(days=60))
    await world.eventually(lambda: world.encounter(encounter).status == "closed", f"{name} closes")
    assert world.encounter(encounter).stage == "closed"
    assert {key for key, claim in world.claims(encounter).items() if claim.state == "emitted"}


async def play(world: World, events: list[dict[str, Any]]) -> str:
    """Post event after event at its own clinical time."""
    encounter = ""
    clock = datetime.now(UTC)
    for event in events:
        at = datetime.fromisoformat(event["time"])
        if encounter and at - clock > timedelta(hours=1):
            await world.settled(encounter)
            await world.skip(encounter, at - clock)
            clock = at
        encounter = await world.post(event) or encounter
    await world.settled(encounter)
    return encounter
