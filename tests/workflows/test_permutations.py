"""Any order of arrival with any repetition ends alike, through the real inbox, workflows and activities.

In each example the events are shuffled, some are repeated, and they are received by a few parts of random size; between the
parts the encounter decides on what it has, so that alerts are raised and resolved, holds come and go, claims are built from
half of the facts. The end must be that of the events in their own order. `CART_PERMUTATIONS=500` tries that many of every
scenario; two of each are part of every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from app.process.connect import Home
from app.process.worker import build_worker
from app.settings import Settings
from app.tools.scenario_expectations import scenarios
from domain.events import HOLDER_TYPES
from intake.delivery import Deliverer
from intake.inbox.receive import Disposition, receive
from intake.scenario_feeds import Feed, expand
from intake.workflow_client import WorkflowClient
from store.config import ConfigCache
from store.keys import Keyring
from store.tables import NOTICES, AlertRecord, ClaimVersion, Encounter, EncounterEvent, Inbox, Quarantine
from tests.kit.databases import migrated_database
from tests.kit.worker import World, temporal_server
from workflows.names import claim_workflow_id, encounter_workflow_id

EXAMPLES = int(os.environ.get("CART_PERMUTATIONS", "2"))
TOGETHER = 12
ANCHOR = date(2026, 9, 14)
"""Every event is past: a backfilled feed, so that the order of arrival is free."""

SCENARIOS = {scenario.feed.name[0]: scenario for scenario in scenarios()}
Event = Mapping[str, Any]


class Worlds:
    """Makes a world for some examples, and takes it away again."""

    def __init__(self, server: WorkflowEnvironment, keys: Keyring, config: ConfigCache, where: Path) -> None:
        self.server, self.keys, self.config, self.where = server, keys, config, where

    @asynccontextmanager
    async def new(self, name: str) -> AsyncIterator[World]:
        directory = self.where / name
        directory.mkdir()
        db = migrated_database(directory / "encounters.db")
        home = Home(Settings(data_dir=directory), self.keys, db, self.config)
        with ThreadPoolExecutor(8) as pool:
            async with build_worker(self.server.client, home, pool):
                delivering = asyncio.create_task(
                    Deliverer(db, WorkflowClient(self.server.client).deliver, poll_seconds=0.05).run()
                )
                world = World(self.server, db, self.keys, home.service, home.settings.outbox)
                yield world
                delivering.cancel()
                await asyncio.gather(delivering, return_exceptions=True)
                await _end(world)
        db.close()
        shutil.rmtree(directory)


async def _end(world: World) -> None:
    """Timers of this world must not fire in the next."""
    with world.db.read() as session:
        ids = [encounter_workflow_id(one) for one in session.exec(select(Encounter.encounter_id))]
        ids += [claim_workflow_id(c.encounter_id, c.letter, c.ordinal) for c in session.exec(select(ClaimVersion))]
    for name in dict.fromkeys(ids):
        with contextlib.suppress(RPCError):  # it has ended by itself
            await world.server.client.get_workflow_handle(name).terminate("the example is over")


@pytest.fixture(scope="module")
async def server(keys: Keyring) -> AsyncIterator[WorkflowEnvironment]:
    """Its own: the worker of the other tests stays on theirs."""
    async with temporal_server(keys) as environment:
        yield environment


@pytest.fixture
def worlds(server: WorkflowEnvironment, keys: Keyring, config: ConfigCache, tmp_path: Path) -> Worlds:
    return Worlds(server, keys, config, tmp_path)


async def play(world: World, parts: list[list[Event]]) -> dict[str, Any]:
    """Take in part after part, each decided before the next; what came of it."""
    encounter = ""
    for part in parts:
        encounter = await asyncio.to_thread(_take, world, part) or encounter
        if encounter:
            await world.eventually(partial(_decided, world, encounter), "decided")
    await world.eventually(lambda: _claims_follow(world, encounter), "every claim is built of the last facts")
    return outcome(world, encounter)


def _take(world: World, part: list[Event]) -> str:
    fine = (Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.QUARANTINED)
    encounter = ""
    for event in part:
        receipt = receive(world.db, world.keys, event, datetime.now(UTC), str(event["source"]))
        assert receipt.disposition in fine, receipt
        encounter = receipt.encounter_id or encounter
    return encounter


def _decided(world: World, encounter: str) -> bool:
    row = world.encounter(encounter)
    return row.decided_sequence >= row.next_sequence - 1


def _claims_follow(world: World, encounter: str) -> bool:
    """The decision on all facts and the store agree on every claim that is due."""
    row = world.encounter(encounter)
    decision = world.service.decision(encounter, row.decided_sequence, row.decided_at or datetime.now(UTC))
    due = {claim.key: claim.content_hash for claim in decision.claims if claim.ready}
    kept = {key: claim.content_hash for key, claim in world.claims(encounter).items() if claim.state not in GONE}
    return due == kept


GONE = ("withdrawn", "superseded", "voided")


def outcome(world: World, encounter: str) -> dict[str, Any]:
    """The same result: stage, holds, open alerts, custody, claims; nothing waits and nothing is counted twice."""
    row = world.encounter(encounter)
    with world.db.read() as session:
        # Notices of what happened to other patients of the center are no facts of this one.
        facts = col(EncounterEvent.type).not_in(NOTICES)
        own = select(EncounterEvent.event_id).where(EncounterEvent.encounter_id == encounter, facts)
        holders = set(session.exec(select(Inbox.event_id).where(Inbox.holder_event)))
        events = [event for event in session.exec(own) if event not in holders]
        assert len(events) == len(set(events))
        # A claim's own life (filing limits, silence) runs by the clock of today; these feeds lie in the past.
        own_alerts = select(AlertRecord).where(AlertRecord.encounter_id == encounter, AlertRecord.state != "resolved")
        alerts = [alert.kind for alert in session.exec(own_alerts) if not alert.key.startswith("claim.")]
    return {
        "events": len(events),
        "stage": row.stage,
        "holds": sorted(hold["id"] for hold in row.view["holds"]),
        "gates": {gate["stage"]: gate["open"] for gate in row.view["gates"]},
        "alerts": sorted(alerts),
        "custody": sorted((one.kind, one.occurred) for one in world.custody(encounter)),
        "claims": {
            key: (claim.state, claim.total, _billed(claim.document))
            for key, claim in world.claims(encounter).items()
            if claim.state not in GONE
        },
    }


def _billed(document: dict[str, Any]) -> list[Any]:
    lines = [(one["revenue_code"], one["hcpcs"], one["units"], one["charge"]) for one in document["lines"]]
    return [lines, [(one["role"], one["code"]) for one in document["diagnoses"]]]


def shuffled(events: list[Event], seed: int) -> list[list[Event]]:
    """All events in a random order, a third of them again, in two to four parts."""
    chance = random.Random(seed)
    order = [*events, *chance.choices(events, k=len(events) // 3)]
    chance.shuffle(order)
    cuts = sorted(chance.sample(range(1, len(order)), chance.randint(1, 3)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@pytest.mark.parametrize("letter", sorted(SCENARIOS))
async def test_any_order_with_repetition_ends_alike(worlds: Worlds, letter: str) -> None:
    feed = SCENARIOS[letter].feed
    # What concerns a facility reaches every encounter: such a feed is alone in its world, so that it is shuffled, too.
    together = 1 if any(event.type in HOLDER_TYPES for event in feed.events) else TOGETHER
    began = time.monotonic()
    async with worlds.new("in-order") as world:
        expected = await play(world, [list(expand(feed, ANCHOR, suffix="-in-order"))])
    assert expected["claims"]
    for first in range(0, EXAMPLES, together):
        seeds = range(first, min(first + together, EXAMPLES))
        async with worlds.new(f"from-{first}") as world:
            found = await asyncio.gather(*(_example(world, feed, seed) for seed in seeds))
            with world.db.read() as session:
                assert {one.state for one in session.exec(select(Quarantine))} <= {"released"}
        for seed, one in zip(seeds, found, strict=True):
            assert one == expected, f"scenario {letter}, seed {seed}"
    print(f"{letter}: {EXAMPLES} orders of {len(feed.events)} events alike, {time.monotonic() - began:.0f} s")


async def _example(world: World, feed: Feed, seed: int) -> dict[str, Any]:
    return await play(world, shuffled(list(expand(feed, ANCHOR, suffix=f"-{seed}")), seed))
