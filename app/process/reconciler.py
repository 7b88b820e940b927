"""Reconciler: what the database has open must run on the Temporal server; what does not run is started again.

A Temporal server that lost its database, or was set back to an older copy, keeps no deadline of what it forgot and reports
nothing. So a worker compares at its start, every hour, and when it sees that the server was set back; every minute it
compares what had an event within the last quarter of an hour. What is behind gets its newest event. A check changes nothing
that runs and is up to date.

A server that is set back while workers run gets from them what follows on the history that it lost. Such a run contradicts its
own history: every task of it fails, whatever code runs it. Where the server was set back, runs whose task fails again and
again are ended and started again from the facts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import structlog
from prometheus_client import Gauge
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.encounter import EncounterActivities
from app.process.alert_poller import signal_escalation
from app.process.watch_schedule import keep_schedule
from intake.workflow_client import WorkflowClient, note_of
from store.engine import Database
from store.installation import epoch_of
from store.open_work import LastEvent, OpenClaim, claims_under_way, last_event, last_events, unknown_encounters
from store.step_log import log_step
from workflows.messages import ClaimIntent, ClaimQuestion, Note
from workflows.names import (
    ALERT_ESCALATION_ID,
    CLAIM_TYPE,
    ENCOUNTER_TYPE,
    claim_workflow_id,
    encounter_workflow_id,
)

EVERY_SECONDS: Final = 3600.0
AFTER_A_FINDING_SECONDS: Final = 60.0
RECENT_SECONDS: Final = 60.0
RECENT: Final = timedelta(minutes=15)
"""What had an event within this time is compared every minute."""
SUSPECT_SECONDS: Final = 900.0
"""How long after a finding runs are searched whose task fails again and again."""
FAILS_AGAIN: Final = 3
"""Attempts of one workflow task after which it is no passing failure."""
LOOK_SECONDS: Final = 15.0
"""Seconds between two looks at whether the server still has what it had."""
CALL_TIMEOUT: Final = timedelta(seconds=10)
TOGETHER: Final = 4
"""Calls to the server at once."""
NAMED: Final = 20
"""Identifiers in one log line."""

CONTRADICTS: Final = (
    "the server was set back while this run went on: it contradicts its history; started again from the facts"
)
ENCOUNTER, BEHIND, CLAIM, ESCALATION = "encounter", "encounter_behind", "claim", "alert_escalation"

MISSING = Gauge(
    "cart_workflows_missing",
    "At the last check: open encounters and claims without a running workflow, and encounters whose run does not know "
    "their newest event. They are started again or delivered at once.",
    ["kind"],
)
ORPHANED = Gauge(
    "cart_workflows_orphaned",
    "At the last check: running workflows of an encounter that is not in the database.",
    ["kind"],
)
CHECKED = Gauge("cart_workflows_checked_timestamp_seconds", "Time of the last complete check for missing workflows.")

RUNNING = f"ExecutionStatus = 'Running' AND (WorkflowType = '{ENCOUNTER_TYPE}' OR WorkflowType = '{CLAIM_TYPE}')"

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found, by workflow id; all of it but the orphaned was started again or delivered."""

    missing: tuple[str, ...]
    behind: tuple[str, ...]
    claims: tuple[str, ...]
    orphaned: tuple[str, ...]
    escalation: bool

    @property
    def anything(self) -> bool:
        """True if something had to be delivered or started again."""
        return bool(self.missing or self.behind or self.claims or self.escalation)

    @property
    def set_back(self) -> bool:
        """True if the server lost what it had acknowledged."""
        return bool(self.missing or self.behind or self.claims)


@dataclass(frozen=True, slots=True)
class Height:
    """A workflow's first run, its current run, and the length of that one's history; empty where it is not known."""

    first_run: str
    run: str
    length: int


def _set_back(before: Height, now: Height) -> bool:
    """True if the server no longer has what it had."""
    return before.first_run != now.first_run or (before.run == now.run and now.length < before.length)


def _attempts(shown: WorkflowExecutionDescription) -> int:
    """How often the pending workflow task of a run was tried; 0 without one."""
    return int(shown.raw_description.pending_workflow_task.attempt)


class Reconciler:
    """Compares database and Temporal server; several workers may do so at once."""

    def __init__(self, db: Database, client: Client, activities: EncounterActivities) -> None:
        self._db, self._client, self._activities = db, client, activities
        self._workflows = WorkflowClient(client)
        self._epoch = 0
        self._suspect_until = 0.0

    def suspect(self) -> None:
        """The server was set back: runs may contradict their histories."""
        self._suspect_until = time.monotonic() + SUSPECT_SECONDS

    async def run(self) -> None:
        """Check at the start and every hour until canceled; an outage of database or server only delays a check."""
        while True:
            pause = EVERY_SECONDS
            try:
                if (await self.check()).anything or time.monotonic() < self._suspect_until:
                    pause = AFTER_A_FINDING_SECONDS
            except Exception as error:  # noqa: BLE001 the next check comes after any error
                log.warning("workflows.check_failed", error=type(error).__name__)
                pause = AFTER_A_FINDING_SECONDS
            await self._until_due(pause * random.uniform(0.9, 1.1))  # noqa: S311 jitter

    async def recent(self) -> bool:
        """Whether an event of the last minutes is unknown to the run that acknowledged it."""
        since = datetime.now(UTC) - RECENT
        last = {name: one for name, one in (await asyncio.to_thread(self._events, since)).items() if one.is_open}
        if not last:
            return False
        running = await self._running()
        return bool(await self._not_running(last, running) or await self._behind(last, running))

    def _events(self, since: datetime) -> dict[str, LastEvent]:
        with self._db.read() as session:
            self._epoch = epoch_of(session)
            return last_events(session, since)

    async def _until_due(self, seconds: float) -> None:
        """Wait so long, or until the server turns out to have been set back or replaced."""
        until = asyncio.get_running_loop().time() + seconds
        looked, before = time.monotonic(), await self._height()
        while (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            now = await self._height()
            if before and now and _set_back(before, now):
                log.warning("workflows.server_set_back")
                self.suspect()
                return
            before = now or before
            if now and time.monotonic() - looked > RECENT_SECONDS:
                looked = time.monotonic()
                if await self._lost_lately():
                    return

    async def _lost_lately(self) -> bool:
        try:
            return await self.recent()
        except Exception as error:  # noqa: BLE001 asked again in a minute
            log.warning("workflows.check_failed", error=type(error).__name__)
            return False

    async def _height(self) -> Height | None:
        """Where the alert escalation is: the one workflow that always runs. None while the server does not respond."""
        try:
            shown = await self._described(ALERT_ESCALATION_ID)
        except Exception:  # noqa: BLE001 asked again soon
            return None
        if shown is None:
            return Height("", "", 0)
        first = shown.raw_description.workflow_execution_info.first_run_id
        return Height(first, shown.run_id, shown.history_length)

    async def check(self) -> Found:
        """Compare once; deliver and start again what is missing.

        Raises:
            DatabaseError, RPCError: database or server do not respond; nothing wrong was done.
        """
        await keep_schedule(self._client)
        last, claims = await asyncio.to_thread(self._open_work)
        running = await self._running()
        not_running, lagging = await self._not_running(last, running), await self._behind(last, running)
        if not_running or lagging:
            self.suspect()
        stuck = await self._ended(running)
        not_running += [one for one in last.values() if encounter_workflow_id(one.encounter) in stuck]
        running = {name: began for name, began in running.items() if name not in stuck}
        missing = await self._act(not_running, self._start)
        behind = await self._act(
            [one for one in lagging if encounter_workflow_id(one.encounter) not in stuck], self._deliver
        )
        again = {one.encounter for one in (*missing, *behind)}
        found = Found(
            missing=_ids(missing),
            behind=_ids(behind),
            claims=await self._start_claims(last, claims, running, again),
            orphaned=await self._orphaned(running),
            escalation=await self._escalation_missing(bool(last)),
        )
        if found.set_back:
            self.suspect()
        _report(found)
        return found

    def _open_work(self) -> tuple[dict[str, LastEvent], list[OpenClaim]]:
        with self._db.read() as session:
            self._epoch = epoch_of(session)
            return last_events(session), claims_under_way(session)

    async def _running(self) -> dict[str, datetime]:
        """The start of every running workflow of an encounter or claim, by workflow id."""
        listed = self._client.list_workflows(RUNNING, page_size=500, rpc_timeout=CALL_TIMEOUT)
        return {one.id: one.start_time async for one in listed}

    async def _not_running(self, last: Mapping[str, LastEvent], running: Collection[str]) -> list[LastEvent]:
        asked = [
            one
            for one in last.values()
            if one.is_open and one.delivered_at and encounter_workflow_id(one.encounter) not in running
        ]
        return await _those(asked, lambda one: self._gone(encounter_workflow_id(one.encounter)))

    async def _behind(self, last: Mapping[str, LastEvent], running: Mapping[str, datetime]) -> list[LastEvent]:
        """Encounters whose run began before their newest event and did not receive it."""
        asked = [
            one
            for one in last.values()
            if one.delivered_at
            and (began := running.get(encounter_workflow_id(one.encounter)))
            and began < one.delivered_at
        ]
        return await _those(asked, self._does_not_know)

    async def _ended(self, running: Collection[str]) -> set[str]:
        """End the runs that contradict their histories, where the server was set back lately; returns their ids."""
        if time.monotonic() > self._suspect_until:
            return set()
        ended = set()
        for identity in await _those(list(running), self._fails):
            shown = await self._described(identity)
            if shown is None or _attempts(shown) < FAILS_AGAIN:
                continue
            handle = self._client.get_workflow_handle(identity, run_id=shown.run_id)
            await handle.terminate(reason=CONTRADICTS, rpc_timeout=CALL_TIMEOUT)
            ended.add(identity)
        if ended:
            log.warning("workflows.contradicted", count=len(ended), first=sorted(ended)[:NAMED])
        return ended

    async def _fails(self, identity: str) -> bool:
        shown = await self._described(identity)
        return shown is not None and _attempts(shown) >= FAILS_AGAIN

    async def _does_not_know(self, one: LastEvent) -> bool:
        """True where the current run began before the event and has no update with its key."""
        identity = encounter_workflow_id(one.encounter)
        update = UpdateRef(workflow_execution=WorkflowExecution(workflow_id=identity), update_id=self._note(one).key)
        request = PollWorkflowExecutionUpdateRequest(namespace=self._client.namespace, update_ref=update)
        try:
            await self._client.workflow_service.poll_workflow_execution_update(request, timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        else:
            return False
        # The list may show an earlier run: one that was continued as new since then carries the event.
        shown = await self._described(identity)
        return shown is None or one.delivered_at is None or shown.start_time < one.delivered_at

    async def _gone(self, identity: str, run: str | None = None) -> bool:
        """True where no such workflow runs, whatever the list shows; not if `run` ended by itself."""
        shown = await self._described(identity)
        if shown is None:
            return True
        if shown.status is WorkflowExecutionStatus.COMPLETED and shown.run_id == run:
            return False
        return shown.status is not WorkflowExecutionStatus.RUNNING

    async def _described(self, identity: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(identity).describe(rpc_timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _act(
        self, found: Collection[LastEvent], act: Callable[[LastEvent], Awaitable[None]]
    ) -> tuple[LastEvent, ...]:
        """Act on each that is as it was found; returns those."""
        as_found = []
        for one in found:
            if one == await asyncio.to_thread(self._now, one.encounter):
                await act(one)
                as_found.append(one)
        return tuple(as_found)

    def _now(self, encounter: str) -> LastEvent | None:
        with self._db.read() as session:
            return last_event(session, encounter)

    async def _start(self, one: LastEvent) -> None:
        await self._workflows.start_again(one.encounter, self._note(one).sequence)

    async def _deliver(self, one: LastEvent) -> None:
        """The newest event alone: a note carries the facts up to its sequence."""
        await self._workflows.deliver(one.encounter, self._note(one))

    def _note(self, one: LastEvent) -> Note:
        return note_of(one.note_key, one.type, one.sequence, self._epoch)

    async def _start_claims(
        self,
        last: Mapping[str, LastEvent],
        claims: Collection[OpenClaim],
        running: Collection[str],
        again: Collection[str],
    ) -> tuple[str, ...]:
        """Start each claim that does not run; an encounter that was started again or delivered to starts its own."""
        asked = [one for one in claims if _id(one) not in running]
        gone = await _those(asked, lambda one: self._gone(_id(one), one.run))
        for one in gone:
            decided = last[one.encounter].decided_sequence if one.encounter in last else 0
            if one.encounter not in again and decided:
                await self._open_claim(one, decided)
        return tuple(_id(one) for one in gone)

    async def _open_claim(self, claim: OpenClaim, decided: int) -> None:
        letter, ordinal = claim.letter, claim.ordinal
        question = ClaimQuestion(
            encounter=claim.encounter,
            letter=letter,
            ordinal=ordinal,
            up_to_sequence=decided,
            now=datetime.now(UTC),
        )
        await self._activities.open_claim(question, ClaimIntent(letter=letter, ordinal=ordinal, content=""))

    async def _orphaned(self, running: Collection[str]) -> tuple[str, ...]:
        """Workflows of encounters that the database does not know: it was set back, and the server was not."""
        of = {identity: identity.split("/")[1] for identity in running if "/" in identity}
        unknown = await asyncio.to_thread(self._unknown, set(of.values()))

        async def still_runs(identity: str) -> bool:
            return not await self._gone(identity)

        return tuple(sorted(await _those([one for one in of if of[one] in unknown], still_runs)))

    def _unknown(self, encounters: set[str]) -> set[str]:
        with self._db.read() as session:
            return unknown_encounters(session, encounters)

    async def _escalation_missing(self, in_use: bool) -> bool:
        """Start the alert escalation if it does not run; True if it had to be."""
        if not await self._gone(ALERT_ESCALATION_ID):
            return False
        await signal_escalation(self._client)
        return in_use


async def _those(asked: Iterable[T], holds: Callable[[T], Awaitable[bool]]) -> list[T]:
    """Those for which it holds, a few asked at once."""
    slots = asyncio.Semaphore(TOGETHER)

    async def one_of(one: T) -> bool:
        async with slots:
            return await holds(one)

    every = list(asked)
    answers = await asyncio.gather(*map(one_of, every))
    return [one for one, answer in zip(every, answers, strict=True) if answer]


def _id(claim: OpenClaim) -> str:
    return claim_workflow_id(claim.encounter, claim.letter, claim.ordinal)


def _ids(encounters: Iterable[LastEvent]) -> tuple[str, ...]:
    return tuple(sorted(encounter_workflow_id(one.encounter) for one in encounters))


def _report(found: Found) -> None:
    counts = {ENCOUNTER: found.missing, BEHIND: found.behind, CLAIM: found.claims}
    for kind, ids in counts.items():
        MISSING.labels(kind=kind).set(len(ids))
        if ids:
            log.warning("workflows.missing", kind=kind, count=len(ids), first=ids[:NAMED])
    MISSING.labels(kind=ESCALATION).set(int(found.escalation))
    kinds = Counter(CLAIM if one.startswith("claim/") else ENCOUNTER for one in found.orphaned)
    for kind in (ENCOUNTER, CLAIM):
        ORPHANED.labels(kind=kind).set(kinds[kind])
    if found.orphaned:
        log.warning("workflows.orphaned", count=len(found.orphaned), first=found.orphaned[:NAMED])
    CHECKED.set_to_current_time()
    log_step(
        "workflows.checked",
        missing=len(found.missing),
        behind=len(found.behind),
        claims=len(found.claims),
        orphaned=len(found.orphaned),
    )
