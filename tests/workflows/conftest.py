"""A real Temporal server that skips time, a real database, the real activities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from tests.kit.databases import migrated_database
from tests.kit.files import ROOT
from tests.kit.keys import RECORDING_KEYS
from tests.kit.replays import RELEASES, opened, replayed_on
from tests.kit.site import live_site
from tests.kit.worker import World, temporal_server, working


@pytest.fixture(scope="session")
def keys() -> Keyring:
    return RECORDING_KEYS


@pytest.fixture(scope="session")
async def server(keys: Keyring) -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(keys) as environment:
        yield environment


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = migrated_database(tmp_path_factory.mktemp("store") / "encounters.db")
    yield db
    db.close()


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> ConfigCache:
    return ConfigCache("current", None, live_site(tmp_path_factory.mktemp("site")))


@pytest.fixture(scope="session")
async def world(
    server: WorkflowEnvironment,
    database: Database,
    keys: Keyring,
    config: ConfigCache,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """A worker on the server; encounters of different tests share it and nothing else."""
    asked = pytestconfig.getoption("--record-histories")
    recording = ROOT / "tests" / "replay" / "histories" if asked else None
    async with working(server, database, keys, config, tmp_path_factory.mktemp("world"), recording) as made:
        yield made
        await replay_on_released_code(server, keys, tmp_path_factory)


async def replay_on_released_code(
    server: WorkflowEnvironment, keys: Keyring, directories: pytest.TempPathFactory
) -> None:
    """A release can be taken back: the code of the one before carries on every run that these tests made."""
    texts = []
    async for run in server.client.list_workflows("TaskQueue = 'cart-encounter'"):
        history = await server.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        texts.append((run.run_id, opened(history, keys)))
    for release in RELEASES:
        failures = await asyncio.to_thread(replayed_on, release, texts, directories.mktemp("released"))
        assert failures == {}, f"{release.stem} cannot carry on"
