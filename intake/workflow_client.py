"""The one call that delivers an event to the workflow: an update that starts the encounter where it does not run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from store.installation import SEQUENCE_SIZE
from workflows.messages import EncounterStart, Note, Receipt
from workflows.names import ENCOUNTER_TYPE, TASK_QUEUE, encounter_workflow_id

CALL_TIMEOUT = timedelta(seconds=5)
HEALTH_TIMEOUT = timedelta(seconds=2)

OF_AN_EARLIER_RUN = ("of an earlier run",)
"""A run that follows an ended one does not know what it left open: its first decision reconciles the alerts."""

SUMMARY = "CAR-T encounter: one patient, one product"

Connect = Callable[[], Awaitable[Client]]


def note_of(key: str, event_type: str, sequence: int, epoch: int) -> Note:
    """The note of an event in an epoch of the installation.

    After a restore a run may have noted more than the database has, and the server answers a known update id from memory. So
    ids name the epoch, and an event from before it has the number that follows every sequence of that time.
    """
    if epoch == 0:
        return Note(key=key, type=event_type, sequence=sequence)
    return Note(key=f"{key}.{epoch}", type=event_type, sequence=max(sequence, epoch * SEQUENCE_SIZE))


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
            EncounterStart(encounter=encounter_id, carried_alerts=OF_AN_EARLIER_RUN),
            id=encounter_workflow_id(encounter_id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=SUMMARY,
            static_details=_details(encounter_id),
        )
        await client.execute_update_with_start_workflow(
            note.type,
            note,
            id=note.key,
            start_workflow_operation=start,
            result_type=Receipt,
            rpc_timeout=CALL_TIMEOUT,
        )

    async def start_again(self, encounter_id: str, up_to_sequence: int) -> None:
        """Start an encounter that does not run, on its facts up to a sequence; one that runs is left alone.

        A delivery does not do that for a run that ended and is kept: it answers a known update id with the old receipt.

        Raises:
            temporalio.service.RPCError and its like: Temporal is down.
        """
        client = await self._connected()
        await client.start_workflow(
            ENCOUNTER_TYPE,
            EncounterStart(encounter=encounter_id, noted=up_to_sequence, carried_alerts=OF_AN_EARLIER_RUN),
            id=encounter_workflow_id(encounter_id),
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=SUMMARY,
            static_details=_details(encounter_id),
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


def _details(encounter_id: str) -> str:
    return f"The board shows it under `/encounters/{encounter_id}`, with holds, alerts, claims and custody."
