"""Delivery: sends every stored event to its encounter's workflow, and tries again until that succeeds.

Events are durable before delivery, so nothing is lost while Temporal or this process is down: delivery resumes by
itself. A repeated delivery is harmless, the update id is the event's key.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from intake.inbox import quarantine, retention
from store import encounters, fhir
from store.engine import Database, serialize
from store.installation import epoch_of
from store.keys import Keyring
from store.step_log import log_step
from workflows.messages import Note

Deliver = Callable[[str, Note], Awaitable[None]]

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
SWEEP_SECONDS = 30.0
BATCH = 48
TOGETHER = 4
"""Notes of one encounter at once: a backlog then costs it fewer tasks and decisions, since a note only states the last
sequence stored. Two gateways together stay below the ten concurrent updates that a Temporal server allows a workflow."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Encounter:
    """Delivery of one encounter: whether it runs now, and how long it waits after a failure."""

    running: bool = False
    failures: int = 0
    not_before: float = 0.0


class Deliverer:
    """Delivers each encounter's events a few at a time, in the order of their sequence, several encounters at once.

    Args:
        deliver: sends a note to the encounter's workflow; any exception means "again later".
        keys: where given, waiting payer responses are tried again after claims were numbered, and retained messages
            are deleted when their time is over; checked twice a minute.
    """

    def __init__(
        self,
        db: Database,
        deliver: Deliver,
        *,
        keys: Keyring | None = None,
        concurrency: int = 8,
        poll_seconds: float = 2.0,
    ) -> None:
        self._db, self._deliver, self._keys = db, deliver, keys
        self._slots = asyncio.Semaphore(concurrency)
        self._poll_seconds = poll_seconds
        self._encounters: dict[str, _Encounter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_sweep = 0.0
        self._numbers_seen: int | None = None

    def wake(self) -> None:
        """Wake delivery for a new event; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wanted.set)

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._wanted.clear()
                await self._guarded_pass()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), self._poll_seconds)
        finally:
            await self._stop()

    async def drain(self) -> None:
        """Deliver until nothing is undelivered; failures are tried again without end."""
        while await asyncio.to_thread(self._undelivered):
            await self._pass()
            if self._tasks:
                await asyncio.wait(set(self._tasks))
            else:
                await asyncio.sleep(FIRST_PAUSE / 4)

    async def _guarded_pass(self) -> None:
        try:
            await self._sweep()
            await self._pass()
        except Exception as error:  # noqa: BLE001 delivery outlives every outage
            log.warning("delivery.database_away", error=type(error).__name__)

    async def _pass(self) -> None:
        now = asyncio.get_running_loop().time()
        for encounter in await asyncio.to_thread(self._undelivered):
            state = self._encounters.setdefault(encounter, _Encounter())
            if not state.running and state.not_before <= now:
                state.running = True
                task = asyncio.create_task(self._deliver_encounter(encounter, state))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver_encounter(self, encounter: str, state: _Encounter) -> None:
        try:
            async with self._slots:
                while notes := await asyncio.to_thread(self._notes, encounter):
                    await self._deliver_all(encounter, notes)
            self._encounters.pop(encounter, None)
        except Exception as error:  # noqa: BLE001 the event is stored: deliver again later
            state.failures += 1
            state.not_before = asyncio.get_running_loop().time() + _pause(state.failures)
            log.warning("delivery.failed", encounter=encounter, failures=state.failures, error=type(error).__name__)
        finally:
            state.running = False

    async def _deliver_all(self, encounter: str, notes: list[Note]) -> None:
        """Deliver and mark together, also when one fails or this process stops: an unmarked note is only delivered again."""
        done: list[int] = []
        try:
            for first in range(0, len(notes), TOGETHER):
                some = notes[first : first + TOGETHER]
                calls = (self._deliver(encounter, note) for note in some)
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                done += [n.sequence for n, failure in zip(some, outcomes, strict=True) if failure is None]
                for failure in outcomes:
                    if failure is not None:
                        raise failure
        finally:
            if done:
                await asyncio.to_thread(self._delivered, encounter, done)

    async def _sweep(self) -> None:
        """Tidy up twice a minute: new claim numbers and expired retention come without an event."""
        now = asyncio.get_running_loop().time()
        if self._keys is not None and now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            await asyncio.to_thread(self.tidy, self._keys, datetime.now(UTC))

    def tidy(self, keys: Keyring, now: datetime) -> bool:
        """Release responses to newly numbered claims, delete expired messages; returns whether there was work.

        Takes the write lock only if there is.
        """
        with self._db.read() as session:
            numbers = quarantine.claim_numbers(session)
            over = retention.something_expired(session, now) or fhir.something_over(session, now)
        if numbers == self._numbers_seen and not over:
            return False
        with self._db.write() as session:
            serialize(session)
            retention.let_go(session, now)
            fhir.let_go(session, now)
            if numbers != self._numbers_seen:
                quarantine.release_claims(session, keys, now)
        self._numbers_seen = numbers
        return True

    def _undelivered(self) -> list[str]:
        with self._db.read() as session:
            return encounters.with_undelivered_events(session)

    def _notes(self, encounter: str) -> list[Note]:
        with self._db.read() as session:
            rows = encounters.undelivered_events(session, encounter, BATCH)
            epoch = epoch_of(session)
        return [Note(key=row.note_key, type=row.type, sequence=row.sequence, epoch=epoch) for row in rows]

    def _delivered(self, encounter: str, sequences: list[int]) -> None:
        with self._db.write() as session:
            noted = encounters.mark_delivered(session, encounter, sequences, datetime.now(UTC))
        for event, sequence in noted:
            log_step("event.noted", event_id=event, encounter=encounter, sequence=sequence)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _pause(failures: int) -> float:
    """Seconds until the next try: doubling, with jitter so that many encounters do not come back at one instant."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 jitter
