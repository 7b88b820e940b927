"""Encounters whose workflow takes no update, on a real server: the others' events arrive as if there were none."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import col, select
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from intake.delivery import Deliverer
from intake.inbox.receive import receive
from intake.workflow_client import WorkflowClient
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from store.tables import EncounterEvent
from tests.kit import events as e
from tests.kit.databases import migrated_database
from tests.kit.waiting import eventually_async
from tests.kit.worker import temporal_server, working
from workflows.messages import EncounterStart
from workflows.names import ENCOUNTER_TYPE, encounter_workflow_id

STUCK = 60
OTHERS = 12


@pytest.fixture
async def alone(keys: Keyring) -> AsyncIterator[WorkflowEnvironment]:
    """A server that no other test's worker polls."""
    async with temporal_server(keys) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Database]:
    db = migrated_database(tmp_path / "encounters.db")
    yield db
    db.close()


async def test_sixty_encounters_that_take_no_update_stall_no_other(
    alone: WorkflowEnvironment, own: Database, keys: Keyring, config: ConfigCache, tmp_path: Path
) -> None:
    client = alone.client
    async with working(alone, own, keys, config, tmp_path / "world"):
        async with delivering(own, client) as deliverer:
            idle = await waits(own, keys, deliverer, "idle")
        stuck = [await received(own, keys, f"stuck-{number}") for number in range(STUCK)]
        handles = [
            await client.start_workflow(  # on a queue that no worker polls: the worker of another kind is away
                ENCOUNTER_TYPE,
                EncounterStart(encounter=encounter),
                id=encounter_workflow_id(encounter),
                task_queue="no-worker-polls-this",
            )
            for encounter in stuck
        ]
        async with delivering(own, client) as deliverer:
            beside = await waits(own, keys, deliverer, "beside")
        for handle in handles:
            await handle.terminate()
    print(
        f"delivery of others: idle p50 {idle * 1000:.0f} ms, beside {STUCK} stuck encounters p50 {beside * 1000:.0f} ms"
    )
    assert beside < idle + 0.5
    with own.read() as session:
        left = set(session.exec(select(EncounterEvent.encounter_id).where(col(EncounterEvent.delivered_at).is_(None))))
    assert left == set(stuck)


@asynccontextmanager
async def delivering(db: Database, client: Client) -> AsyncIterator[Deliverer]:
    deliverer = Deliverer(db, WorkflowClient(client).deliver)
    running = asyncio.create_task(deliverer.run())
    yield deliverer
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def waits(db: Database, keys: Keyring, deliverer: Deliverer, name: str) -> float:
    """The median of seconds from receipt to delivery, one encounter after another."""
    found = []
    for number in range(OTHERS):
        began = asyncio.get_running_loop().time()
        encounter = await received(db, keys, f"{name}-{number}")
        deliverer.wake()
        await eventually_async(lambda one=encounter: delivered(db, one), "delivered", 60)
        found.append(asyncio.get_running_loop().time() - began)
    return statistics.median(found)


async def received(db: Database, keys: Keyring, name: str) -> str:
    event = e.booking(f"b-{name}", f"ORD-{name}", f"A-{name}")
    receipt = await asyncio.to_thread(receive, db, keys, event, datetime.now(UTC), "t")
    assert receipt.encounter_id
    return receipt.encounter_id


def delivered(db: Database, encounter: str) -> bool:
    with db.read() as session:
        query = select(EncounterEvent.delivered_at).where(EncounterEvent.encounter_id == encounter)
        return session.exec(query).one() is not None
