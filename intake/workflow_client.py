"""The one call that delivers an event to the workflow: an update that starts the encounter where it does not run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from workflows.messages import EncounterStart, Note, Receipt
from workflows.names import ENCOUNTER_TYPE, TASK_QUEUE, encounter_workflow_id

CALL_TIMEOUT = timedelta(seconds=5)
HEALTH_TIMEOUT = timedelta(seconds=2)

Connect = Callable[[], Awaitable[Client]]


class WorkflowClient:
    """Delivers notes to encounters. Connects at the first use, so that the gateway serves while Temporal is down.

    Args:
        connect: a client, or a function that connects one.
    """

    def __init__(self, connect: Client | Connect) -> None:
        self._client = connect if isinstance(connect, Client) else None
        self._connect = None if isinstance(connect, Client) else connect

    async def deliver(self, encounter_id: str, note: Note) -> None:
        """Notify the encounter of a fact. Repeating it is harmless; after closure it starts the encounter again.

        Raises:
            temporalio.service.RPCError and its like: Temporal or every worker is down; deliver again later.
        """
        client = await self._connected()
        start: WithStartWorkflowOperation[Any, Receipt] = WithStartWorkflowOperation(
            ENCOUNTER_TYPE,
            # A run that follows a closed one does not know what it left open: its first decision reconciles the alerts.
            EncounterStart(encounter=encounter_id, carried_alerts=("of an earlier run",), epoch=note.epoch),
            id=encounter_workflow_id(encounter_id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary="CAR-T encounter: one patient, one product",
            static_details=f"The board shows it under `/encounters/{encounter_id}`, with holds, alerts, claims and custody.",
        )
        await client.execute_update_with_start_workflow(
            note.type,
            note,
            id=note.update_id,
            start_workflow_operation=start,
            result_type=Receipt,
            rpc_timeout=CALL_TIMEOUT,
        )

    async def reachable(self) -> bool:
        """True when the server answers its health check."""
        try:
            client = await self._connected()
            return await client.service_client.check_health(timeout=HEALTH_TIMEOUT)
        except Exception:  # noqa: BLE001 any failure means not reachable
            return False

    async def _connected(self) -> Client:
        if self._client is None:
            assert self._connect is not None
            self._client = await self._connect()
        return self._client
