"""Alert poller: checks the database every two seconds and signals the alert escalation workflow if there is work.

Alerts are opened in transactions of other processes; the row itself is the message, and the signal only makes it fast. A
failed signal is repeated.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from store.alerts import work_waiting
from store.engine import Database
from workflows.names import ALERT_ESCALATION_ID, ALERT_ESCALATION_SIGNAL, ALERT_ESCALATION_TYPE, TASK_QUEUE

LOOK_SECONDS: Final = 2.0
REPEAT_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)

Seen = tuple[int, str | None, int]


class AlertPoller:
    """Signals when the pending work changed, and once a minute while work is pending."""

    def __init__(self, db: Database, client: Client) -> None:
        self._db, self._client = db, client
        self._last: Seen | None = None
        self._signaled = 0.0

    async def run(self) -> None:
        """Signals at the start, then whenever work is pending, until canceled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 polling must go on after any error
                log.warning("alerts.signal_failed", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Signals the first time, and when the pending work changed or is pending for a minute."""
        seen = await asyncio.to_thread(self.to_do)
        now = asyncio.get_running_loop().time()
        changed = any(seen) and (seen != self._last or now - self._signaled > REPEAT_SECONDS)
        if self._last is None or changed:
            await signal_escalation(self._client)
            self._signaled = now
        self._last = seen

    def to_do(self) -> Seen:
        """Returns the number of unreported alerts, the last of them, and the number of messages due."""
        with self._db.read() as session:
            return work_waiting(session, datetime.now(UTC))


async def signal_escalation(client: Client) -> None:
    """Signals the alert escalation workflow; starts it if it is not running."""
    await client.start_workflow(
        ALERT_ESCALATION_TYPE,
        id=ALERT_ESCALATION_ID,
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=ALERT_ESCALATION_SIGNAL,
        static_summary="Alert escalation",
    )
