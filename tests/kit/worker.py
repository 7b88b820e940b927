"""A Temporal server whose clocks can be moved, and a worker with the real activities on it."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.testing._timeskipping import TimeSkippingConfig

from activities.decisions import DecisionService
from app.process.connect import Home
from app.process.payload_encryption import data_converter
from app.process.worker import build_worker
from app.settings import Settings
from intake.delivery import Deliverer
from intake.inbox.receive import Disposition, receive
from intake.workflow_client import WorkflowClient
from store.claims import versions_of
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from store.tables import AlertRecord, ClaimVersion, CustodyRecord, Encounter
from tests.kit.faults import Faults
from tests.kit.site import Files
from tests.kit.waiting import PATIENCE, eventually_async
from workflows import search_attributes
from workflows.names import encounter_workflow_id

ATTRIBUTES = [
    search_attributes.STAGE,
    search_attributes.HOLDS,
    search_attributes.NEXT_DUE,
    search_attributes.PRODUCT,
    search_attributes.PAYER_CLASS,
    search_attributes.ALERT_SEVERITY,
    search_attributes.CLAIM_STATE,
]


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


async def play(world: World, events: list[dict[str, Any]]) -> str:
    """Post event after event at its own clinical time."""
    encounter = ""
    clock = datetime.now(UTC)
    for event in events:
        at = datetime.fromisoformat(event["time"])
        if encounter and at - clock > timedelta(hours=1):
            await world.settled(encounter)
            await world.skip(encounter, at - clock)
            clock = at
        encounter = await world.post(event) or encounter
    await world.settled(encounter)
    return encounter


@dataclass
class World:
    """One worker's world."""

    server: WorkflowEnvironment
    db: Database
    keys: Keyring
    service: DecisionService
    outbox: Path
    recording: Path | None = None
    faults: Faults = field(default_factory=Faults)

    async def post(self, *events: Mapping[str, Any]) -> str:
        """Take events in through the real inbox and deliver them; returns the encounter of the last one."""
        encounter = ""
        for event in events:
            receipt = await asyncio.to_thread(
                receive, self.db, self.keys, dict(event), datetime.now(UTC), str(event["source"])
            )
            assert receipt.disposition in (Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.QUARANTINED), (
                receipt
            )
            encounter = receipt.encounter_id or encounter
        await Deliverer(self.db, WorkflowClient(self.server.client).deliver).drain()
        return encounter

    def handle(self, encounter: str) -> WorkflowHandle[Any, Any]:
        return self.server.client.get_workflow_handle(encounter_workflow_id(encounter))

    async def settled(self, encounter: str) -> Encounter:
        """The reading side once it shows every event."""

        def check() -> Encounter | None:
            with self.db.read() as session:
                row = session.get_one(Encounter, encounter)
                return row if row.decided_sequence >= row.next_sequence - 1 else None

        return await self.eventually(check, "settled")

    async def skip(self, encounter: str, span: timedelta) -> None:
        """Let the encounter's clinical clock run."""
        await self.server.fast_forward(self.handle(encounter), span)

    async def eventually(self, check: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """The first true value of a look at the database, which is taken beside the event loop."""
        return await eventually_async(lambda: asyncio.to_thread(check), what, seconds, pause=0.02)

    async def record(self, workflow_id: str, name: str) -> None:
        """Keep a history for the replay tests, when the run was asked to (`--record-histories`)."""
        if self.recording is not None:
            history = await self.server.client.get_workflow_handle(workflow_id).fetch_history()
            (self.recording / f"{name}.json.gz").write_bytes(gzip.compress(history.to_json().encode(), mtime=0))

    def encounter(self, name: str) -> Encounter:
        with self.db.read() as session:
            return session.get_one(Encounter, name)

    def alerts(self, name: str, state: str | None = "open") -> dict[str, AlertRecord]:
        """Alerts by kind."""
        with self.db.read() as session:
            rows = session.exec(select(AlertRecord).where(AlertRecord.encounter_id == name)).all()
        return {row.kind: row for row in rows if state is None or row.state == state}

    def claims(self, name: str) -> dict[str, ClaimVersion]:
        """The current version of every claim."""
        with self.db.read() as session:
            rows = session.exec(
                select(ClaimVersion).where(ClaimVersion.encounter_id == name).order_by(col(ClaimVersion.version))
            ).all()
        return {f"{row.letter}/{row.ordinal}": row for row in rows}

    def versions(self, name: str, letter: str) -> list[ClaimVersion]:
        """Every version of the first claim of a letter."""
        with self.db.read() as session:
            return versions_of(session, name, letter, 1)

    def custody(self, name: str) -> list[CustodyRecord]:
        with self.db.read() as session:
            return list(
                session.exec(
                    select(CustodyRecord)
                    .where(CustodyRecord.encounter_id == name)
                    .order_by(col(CustodyRecord.position))
                )
            )


@contextmanager
def read_by(world: World, files: Files) -> Iterator[ConfigCache]:
    """While it lasts the worker reads these files and no others."""
    before, world.service.store.config = world.service.config, files.config()
    try:
        yield world.service.config
    finally:
        world.service.store.config = before
