"""A real Temporal server that skips time, a real SQLite file, the real activities."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.testing._timeskipping import TimeSkippingConfig

from activities.payloads import data_converter
from activities.rules import Shelf
from activities.store.engine import Database
from activities.store.keys import Keyring
from app.connect import Home
from app.settings import Settings
from app.worker import build_worker
from tests.replay.keys import RECORDING_KEYS
from tests.workflows.world import World
from workflows import search_attributes

ROOT = Path(__file__).resolve().parents[2]
ATTRIBUTES = [
    search_attributes.STAGE,
    search_attributes.HOLDS,
    search_attributes.NEXT_DUE,
    search_attributes.PRODUCT,
    search_attributes.PAYER_CLASS,
    search_attributes.ALERT_SEVERITY,
    search_attributes.CLAIM_STATE,
]


@pytest.fixture(scope="session")
def keys() -> Keyring:
    return RECORDING_KEYS


@pytest.fixture(scope="session")
async def server(keys: Keyring) -> AsyncIterator[WorkflowEnvironment]:
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        dev_server_existing_path=binary,
        data_converter=data_converter(keys),
        search_attributes=ATTRIBUTES,
        dev_server_extra_args=[
            *("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
            *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"'),
        ],
    )
    yield environment
    await environment.shutdown()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('store') / 'encounters.db'}")
    db.migrate()
    yield db
    db.close()


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    return Shelf("current", None, ROOT / "deploy" / "site.example.toml")


@pytest.fixture(scope="session")
async def world(
    server: WorkflowEnvironment,
    database: Database,
    keys: Keyring,
    shelf: Shelf,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[World]:
    """A worker on the server; encounters of different tests share it and nothing else."""
    home = Home(Settings(data_dir=tmp_path_factory.mktemp("world")), keys, database, shelf)
    with ThreadPoolExecutor(8) as pool:
        async with build_worker(server.client, home, pool):
            asked = pytestconfig.getoption("--record-histories")
            recording = ROOT / "tests" / "replay" / "histories" if asked else None
            yield World(server, database, keys, home.mind, home.settings.outbox, recording)
