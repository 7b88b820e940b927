"""Each scenario through the real workflow, live: the clock runs from event to event, then over the monitoring window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.tools.scenario_expectations import scenarios
from intake.scenario_feeds import expand
from tests.kit.worker import World, play
from workflows.names import claim_workflow_id, encounter_workflow_id

SCENARIOS = {scenario.feed.name[0]: scenario for scenario in scenarios()}


@pytest.mark.parametrize("letter", sorted(SCENARIOS))
async def test_a_scenario_runs_to_its_end(world: World, letter: str) -> None:
    feed, expected = SCENARIOS[letter].feed, SCENARIOS[letter].expected
    anchor = datetime.now(UTC).date() - timedelta(days=min(event.day for event in feed.events))
    encounter = await play(world, expand(feed, anchor, suffix=f"-live-{letter}"))
    await world.skip(encounter, timedelta(days=60))
    row = await world.eventually(lambda: (e := world.encounter(encounter)).status == "closed" and e, f"{letter} closes")
    assert row.stage == "closed"
    assert row.view["outcome"] == expected["closed"]["outcome"]
    assert {key: claim.state for key, claim in world.claims(encounter).items()} == {
        key: claim["state"] for key, claim in expected["end"]["claims"].items()
    }
    assert world.alerts(encounter) == {}
    result = await world.handle(encounter).result()
    assert result["outcome"] == expected["closed"]["outcome"]
    if letter in "acf":  # the others take the same paths
        await world.record(encounter_workflow_id(encounter), f"encounter_{feed.name}")
        await world.record(claim_workflow_id(encounter, "C", 1), f"claim_{feed.name}")
