"""Driving an encounter in a test: post an event, wait until it is decided, let clinical time pass."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, select
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.decisions import DecisionService
from intake.delivery import Deliverer
from intake.inbox.receive import Disposition, receive
from intake.workflow_client import TemporalDoor
from store.claims import versions_of
from store.engine import Database
from store.keys import Keyring
from store.tables import AlertRecord, ClaimVersion, CustodyRecord, Encounter
from tests.kit.waiting import PATIENCE, eventually_async
from tests.workflows.faults import Faults
from workflows.names import encounter_workflow_id


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
        await Deliverer(self.db, TemporalDoor(self.server.client).deliver).drain()
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
