"""The database is set back while Temporal keeps its runs: what they did since is done again, and new events wake them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.config import ConfigCache
from store.encounters import deliver_last_event_again
from store.installation import SEQUENCE_SIZE, raise_epoch
from store.keys import Keyring
from tests.kit.databases import migrated_database
from tests.kit.feeds import MCL, events_of
from tests.kit.replays import RELEASES, opened, replayed_on
from tests.kit.set_back import Moment
from tests.kit.worker import World, temporal_server, working


@pytest.fixture
async def alone(keys: Keyring, config: ConfigCache, tmp_path: Path) -> AsyncIterator[World]:
    """A worker, a server and a database that no other test uses."""
    database = migrated_database(tmp_path / "encounters.db")
    async with temporal_server(keys) as server, working(server, database, keys, config, tmp_path) as world:
        yield world
    database.close()


async def test_runs_that_outlive_the_database_do_again_what_it_lost(
    alone: World, keys: Keyring, tmp_path: Path
) -> None:
    world, events = alone, events_of(MCL)
    half = len(events) // 2
    encounter = await world.post(*events[:half])
    await world.settled(encounter)
    moment = Moment(world.db, tmp_path)

    await world.post(*events[half:])
    await world.settled(encounter)
    before = await world.eventually(lambda: len(found := world.claims(encounter)) >= 3 and found, "three claims")
    links = len(world.custody(encounter))
    moment.comes_back()
    assert len(world.claims(encounter)) < len(before)

    with world.db.write() as session:
        assert raise_epoch(session, 0, (), datetime.now(UTC)) == 1
        deliver_last_event_again(session)
    await world.post()
    await world.post(*events[half:])
    shown = await world.settled(encounter)
    assert shown.next_sequence > SEQUENCE_SIZE
    after = await world.eventually(
        lambda: (found := world.claims(encounter)).keys() == before.keys() and found, "the same claims again"
    )
    assert {key: claim.total for key, claim in after.items()} == {key: claim.total for key, claim in before.items()}
    await world.eventually(lambda: len(world.custody(encounter)) == links, "the same chain again")
    run = await world.handle(encounter).describe()
    assert run.status is not None
    assert run.status.name == "RUNNING"

    text = opened(await world.handle(encounter).fetch_history(), keys)
    assert [replayed_on(release, [("restored", text)], tmp_path) for release in RELEASES] == [{}] * len(RELEASES)
