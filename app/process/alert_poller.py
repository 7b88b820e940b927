"""The bell of the alert desk: a worker looks every two seconds whether anything changed, and tells the desk.

Alerts are opened inside transactions of other processes; a row that nobody was told of is the message, the bell only makes
it quick. A bell that was not heard, or a desk that is gone, is rung for again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlmodel import col, func, select
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from store.alerts import unreported
from store.engine import Database
from store.tables import AlertDelivery, AlertRecord
from workflows.names import DESK_ID, DESK_SIGNAL, DESK_TYPE, TASK_QUEUE

LOOK_SECONDS: Final = 2.0
REPEAT_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)

Seen = tuple[int, str | None, int]


class AlertPoller:
    """Rings when what there is to do changed, and once a minute while it is not done."""

    def __init__(self, db: Database, client: Client) -> None:
        self._db, self._client = db, client
        self._last: Seen | None = None
        self._rung = 0.0

    async def run(self) -> None:
        """Ring at the start, then whenever there is something to do, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 a bell that is gone would not be missed: rung again
                log.warning("alerts.bell_not_heard", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ring the first time, and when what there is to do changed or has not been done for a minute."""
        seen = await asyncio.to_thread(self.to_do)
        now = asyncio.get_running_loop().time()
        changed = any(seen) and (seen != self._last or now - self._rung > REPEAT_SECONDS)
        if self._last is None or changed:
            await ring(self._client)
            self._rung = now
        self._last = seen

    def to_do(self) -> Seen:
        """How many alerts nobody was told of, the last of them, and how many messages are due."""
        with self._db.read() as session:
            count, last = session.exec(
                select(func.count(), func.max(AlertRecord.alert_id)).where(unreported())  # type: ignore[arg-type]
            ).one()
            due = session.exec(
                select(func.count()).where(
                    AlertDelivery.state == "waiting", col(AlertDelivery.next_attempt_at) <= datetime.now(UTC)
                )
            ).one()
        return count, last, due


async def ring(client: Client) -> None:
    """Tell the desk; start it where it does not run."""
    await client.start_workflow(
        DESK_TYPE,
        id=DESK_ID,
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=DESK_SIGNAL,
        static_summary="Alert desk",
    )
