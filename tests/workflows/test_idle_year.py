"""An encounter without events and a claim without payment: the past is decided once, and then nothing runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.kit.feeds import cut, kind
from tests.kit.worker import World
from workflows.names import claim_workflow_id

YEAR = timedelta(days=365)
FEW_EVENTS = 30
"""Of skipping itself, for what is still due; a loop on a deadline that is past makes thousands."""


async def test_a_year_without_a_fact_costs_no_history_once_its_deadlines_have_passed(world: World) -> None:
    events, _ = cut("a", kind("cart.coding.completed"), "idle")
    encounter = await world.post(*events)
    await world.settled(encounter)
    await world.eventually(lambda: "A/1" in world.claims(encounter), "claim A")
    claim = world.server.client.get_workflow_handle(claim_workflow_id(encounter, "A", 1))
    lengths = []
    async with asyncio.timeout(60):  # a workflow that runs in circles lets no time pass
        for handle in (world.handle(encounter), claim):
            for _ in range(3):
                await world.server.fast_forward(handle, YEAR)
                lengths.append((await handle.describe()).history_length)
    assert lengths[2] - lengths[1] < FEW_EVENTS
    assert lengths[5] - lengths[4] < FEW_EVENTS
