"""Each path of docs/paths.md through the real workflow: what the store shows is what the domain decides.

With `--record-histories` the history of each is kept for the replay tests.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.decision.decide import decide
from domain.decision.model import Decision
from domain.encounter.facts import Fact, fold
from domain.events import parse
from tests.kit.path_feeds import HISTORY, Event, events_of, slug
from tests.kit.paths import AT, TAKE, story_of
from tests.kit.worker import World
from workflows.names import encounter_workflow_id

PREFERRED = ("infusion", "lymphodepletion", "manufacturing", "monitoring", "apheresis")


def stage_of(path: str) -> str:
    return next(stage for stage in PREFERRED if story_of(path, stage) is not None)


def expected(world: World, events: list[Event], now: datetime) -> Decision:
    facts = []
    for number, event in enumerate(events):
        envelope, data = parse(event)
        facts.append(Fact(f"ev{number}", envelope.source, envelope.id, envelope.time, now, data))
    return decide(fold(facts), world.service.config.site(), world.service.config.rules(), now)


@pytest.mark.parametrize("path", sorted(TAKE))
async def test_a_path_is_a_branch_of_the_workflow(world: World, path: str) -> None:
    stage = stage_of(path)
    taken = story_of(path, stage)
    assert taken is not None
    before = len(AT[stage][0]().facts)
    events = events_of(*taken, run=slug(path)[:24].replace("_", ""))
    encounter = await world.post(*events[:before])
    await world.settled(encounter)
    await world.post(*events[before:])
    row = await world.settled(encounter)
    due = expected(world, events, row.decided_at or datetime.now(UTC))

    assert (row.stage, row.view["outcome"]) == (due.stage, due.outcome)
    wanted = {claim.key for claim in due.claims if claim.ready}
    claims = await world.eventually(lambda: wanted <= set(c := world.claims(encounter)) and c, "its claims are built")
    assert {key for key, claim in claims.items() if claim.state == "held"} == {
        claim.key for claim in due.claims if claim.ready and claim.errors
    }
    assert {key: alert.severity for key, alert in world.alerts(encounter).items()} == {
        alert.kind: alert.severity for alert in due.alerts
    }
    kept = [record.key.partition("#")[0] for record in world.custody(encounter)]
    assert len(set(kept)) == len(due.custody), "every transfer, also a retracted one"
    await world.record(encounter_workflow_id(encounter), f"{HISTORY}{slug(path)}")


async def test_a_key_of_two_patients_blocks_both_until_it_is_corrected(world: World) -> None:
    one = story_of("goes on", "lymphodepletion")
    two = story_of("goes on", "manufacturing")
    assert one is not None
    assert two is not None
    first = await world.post(*events_of(*one, run="sharedone"))
    await world.settled(first)
    assert "identity" not in {hold["kind"] for hold in world.encounter(first).view["holds"]}

    events = events_of(*two, run="sharedtwo")
    wrong = next(event for event in events if event["type"] == "cart.apheresis.completed")
    right = dict(wrong["data"])
    wrong["data"]["coi_id"] = "COI-1-sharedone"
    second = await world.post(*events)

    for encounter in (first, second):
        await world.eventually(lambda name=encounter: "identity_mismatch" in world.alerts(name), "both have the alert")
        view = (await world.settled(encounter)).view
        assert [hold for hold in view["holds"] if hold["id"].endswith(".identity.coi.shared")]

    correction = {"of": {"source": wrong["source"], "id": wrong["id"]}, "reason": "scanned twice", "signer": "staff-9"}
    of = {**wrong, "id": "corrected", "type": "cart.correction.made", "data": correction | {"replacement": right}}
    await world.post(of)
    for encounter in (first, second):
        await world.eventually(lambda name=encounter: "identity_mismatch" not in world.alerts(name), "both are free")
