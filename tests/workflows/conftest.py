"""A real Temporal server that skips time, a real SQLite file, the real activities."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.testing._timeskipping import TimeSkippingConfig

from app.process.connect import Home
from app.process.payload_encryption import data_converter
from app.process.worker import build_worker
from app.settings import Settings
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from tests.contract.recording import live_site
from tests.kit.keys import RECORDING_KEYS
from tests.workflows.faults import Faults
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


@asynccontextmanager
async def temporal_server(keys: Keyring, **limits: int) -> AsyncIterator[WorkflowEnvironment]:
    """A server of its own, whose clocks can be moved; one process has one worker on each.

    `limits` are dynamic configuration below `limit.historyCount`.
    """
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    values = [
        "frontend.WorkflowTimeSkippingEnabled=true",
        'history.timerProcessorMaxTimeShift="10ms"',
        *(f"limit.historyCount.{name}={value}" for name, value in limits.items()),
    ]
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        dev_server_existing_path=binary,
        data_converter=data_converter(keys),
        search_attributes=ATTRIBUTES,
        dev_server_extra_args=[part for value in values for part in ("--dynamic-config-value", value)],
    )
    yield environment
    await environment.shutdown()


@asynccontextmanager
async def working(
    server: WorkflowEnvironment,
    database: Database,
    keys: Keyring,
    config: ConfigCache,
    home: Path,
    recording: Path | None = None,
) -> AsyncIterator[World]:
    """A worker on a server."""
    parts = Home(Settings(data_dir=home), keys, database, config)
    faults = Faults()
    client = Client(**{**server.client.config(), "interceptors": [faults]})
    with ThreadPoolExecutor(8) as pool:
        async with build_worker(client, parts, pool):
            yield World(server, database, keys, parts.service, parts.settings.outbox, recording, faults)


@pytest.fixture(scope="session")
async def server(keys: Keyring) -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(keys) as environment:
        yield environment


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('store') / 'encounters.db'}")
    db.migrate()
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
