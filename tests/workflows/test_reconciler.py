"""What the database has open runs on the server: what does not, or is behind, comes back; what it does not know is named."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from activities.encounter import EncounterActivities
from app.process import reconciler as reconciling
from app.process.reconciler import Found, Reconciler
from intake.inbox.receive import receive
from store import encounters
from tests.kit.feeds import cut, kind
from tests.kit.waiting import eventually_async
from tests.kit.worker import World
from tests.workflows.claims import emitted, handle
from workflows.messages import EncounterStart
from workflows.names import ENCOUNTER_TYPE, TASK_QUEUE, encounter_workflow_id


def reconciler(world: World) -> Reconciler:
    client = world.server.client
    return Reconciler(world.db, client, EncounterActivities(world.service, client))


async def checked(world: World) -> Found:
    found = await reconciler(world).check()
    await world.post()
    return found


async def status(of: WorkflowHandle[object, object]) -> WorkflowExecutionStatus | None:
    return (await of.describe()).status


@pytest.fixture(scope="module")
async def clean(world: World) -> World:
    """What other tests ended by force is started again first."""
    await eventually_async(lambda: _settled(world), "nothing is missing", pause=0.2)
    return world


async def _settled(world: World) -> bool:
    return not (await checked(world)).anything


async def test_an_encounter_without_a_workflow_runs_again(clean: World) -> None:
    world = clean
    events, _ = cut("a", kind("cart.product.released"), "-missing")
    encounter = await world.post(*events)
    await world.settled(encounter)
    assert not (await checked(world)).anything, "what runs is left alone"
    await world.handle(encounter).terminate()
    found = await checked(world)
    assert encounter_workflow_id(encounter) in found.missing
    assert REGISTRY.get_sample_value("cart_workflows_missing", {"kind": "encounter"}) >= 1  # type: ignore[operator]
    assert await status(world.handle(encounter)) is WorkflowExecutionStatus.RUNNING
    await world.skip(encounter, timedelta(days=60))
    await world.eventually(lambda: "release_overdue" in world.alerts(encounter), "its deadline is kept")
    assert not (await checked(world)).anything
    assert REGISTRY.get_sample_value("cart_workflows_missing", {"kind": "encounter"}) == 0


async def test_a_run_that_does_not_know_the_newest_event_receives_it(clean: World) -> None:
    world = clean
    events, late = cut("a", kind("cart.product.released"), "-behind")
    encounter = await world.post(*events)
    await world.settled(encounter)
    await asyncio.to_thread(receive, world.db, world.keys, dict(late), datetime.now(UTC), str(late["source"]))
    newest = world.encounter(encounter).next_sequence - 1
    with world.db.write() as session:
        encounters.mark_delivered(session, encounter, [newest], datetime.now(UTC))
    assert await reconciler(world).recent(), "seen within a minute, not an hour"
    found = await checked(world)
    assert found.behind == (encounter_workflow_id(encounter),)
    assert found.missing == ()
    await world.settled(encounter)
    assert not (await checked(world)).anything


async def test_a_claim_without_a_workflow_runs_again(clean: World) -> None:
    world = clean
    encounter, _ = await emitted(world, "-claim-missing")
    await handle(world, encounter).terminate()
    found = await checked(world)
    assert found.claims == (f"claim/{encounter}/C/1",)
    assert await status(handle(world, encounter)) is WorkflowExecutionStatus.RUNNING
    assert not (await checked(world)).anything
    assert [row.version for row in world.versions(encounter, "C")] == [1]


async def test_runs_that_contradict_their_history_are_ended_and_begin_again(
    clean: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults on a running stack make such runs (docs/reliability.md, Temporal's database older); here they are named."""
    world = clean
    encounter, _ = await emitted(world, "-contradicts")
    await world.settled(encounter)
    names = {encounter_workflow_id(encounter), f"claim/{encounter}/C/1"}
    before = {name: (await world.server.client.get_workflow_handle(name).describe()).run_id for name in names}
    shown, versions = world.encounter(encounter).view, [row.version for row in world.versions(encounter, "C")]
    monkeypatch.setattr(
        reconciling, "_attempts", lambda run: 3 if run.id in names and run.run_id in before.values() else 0
    )
    one = reconciler(world)
    assert not (await one.check()).anything, "without a sign that the server was set back nothing is ended"
    one.suspect()
    found = await one.check()
    await world.post()
    assert set(found.missing) == {encounter_workflow_id(encounter)}

    async def begun(name: str) -> bool:
        run = await world.server.client.get_workflow_handle(name).describe()
        return run.status is WorkflowExecutionStatus.RUNNING and run.run_id != before[name]

    for name in names:
        await eventually_async(lambda one=name: begun(one), f"{name} runs again")  # type: ignore[misc]
    await world.settled(encounter)
    assert world.encounter(encounter).view == shown
    assert [row.version for row in world.versions(encounter, "C")] == versions
    assert not (await checked(world)).anything


async def test_a_workflow_of_an_unknown_encounter_is_named_and_left_alone(clean: World) -> None:
    world = clean
    client: Client = world.server.client
    orphan = await client.start_workflow(
        ENCOUNTER_TYPE, EncounterStart(encounter="enc_unknown"), id="cart-encounter/enc_unknown", task_queue=TASK_QUEUE
    )

    async def named() -> bool:
        return (await checked(world)).orphaned == ("cart-encounter/enc_unknown",)

    await eventually_async(named, "the orphan is named", pause=0.2)
    assert REGISTRY.get_sample_value("cart_workflows_orphaned", {"kind": "encounter"}) == 1
    assert await status(orphan) is WorkflowExecutionStatus.RUNNING
    await orphan.terminate()
    assert (await checked(world)).orphaned == ()
