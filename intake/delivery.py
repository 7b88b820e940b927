"""Delivery: sends every stored event to its encounter's workflow, and tries again until that succeeds.

Events are durable before delivery, so nothing is lost while Temporal or this process is down: delivery resumes by
itself. A repeated delivery is harmless, the update id is the event's key.

Several gateways share the work by leases in the database. An encounter that takes no notes has a lane of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from intake.inbox import quarantine, retention
from intake.lanes import RETRIES, Lanes, Place
from intake.workflow_client import note_of
from store import delivery_leases, encounters, fhir
from store.delivery_leases import LEASE, Claimed
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
class _Delivery:
    """One encounter under way.

    Attributes:
        failures: of its last tries.
        until: end of its lease, by a clock that also runs while this process is frozen.
        place: its place in one of the lanes, or the one it waits for.
    """

    failures: int
    until: float
    place: Place


class LeaseEnded(RuntimeError):
    """This process was too slow or frozen: another gateway may deliver the encounter now."""


class Deliverer:
    """Delivers each encounter's events a few at a time, in the order of their sequence, several encounters at once.

    Args:
        deliver: sends a note to the encounter's workflow; any exception means "again later".
        keys: where given, waiting payer responses are tried again after claims were numbered, and retained messages
            are deleted when their time is over; checked twice a minute.
        concurrency: encounters at once; those that turn out to be slow are not counted.
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
        self._holder = secrets.token_hex(8)
        self._lanes, self._concurrency = Lanes(concurrency), concurrency
        self._poll_seconds = poll_seconds
        self._running: dict[str, _Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_sweep = self._renewed = 0.0
        self._numbers_seen: int | None = None
        self.turned = time.monotonic()
        """When it last looked for undelivered events, also in vain."""

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
                self.turned = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self._wanted.wait()
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
        await self._renew()
        began = time.monotonic()
        for one in await asyncio.to_thread(self._claimed):
            place = self._lanes.place(fast=one.failures == 0)
            delivery = _Delivery(one.failures, began + LEASE.total_seconds(), place)
            self._running[one.encounter] = delivery
            task = asyncio.create_task(self._deliver_encounter(one.encounter, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        """Extend the leases of what is under way, a few times in the life of one."""
        began = time.monotonic()
        if self._running and began - self._renewed > LEASE.total_seconds() / 4:
            await asyncio.to_thread(self._in_lease, delivery_leases.renew)
            self._renewed = began
            for delivery in self._running.values():
                if delivery.until > began:
                    delivery.until = began + LEASE.total_seconds()

    async def _deliver_encounter(self, encounter: str, delivery: _Delivery) -> None:
        try:
            async with delivery.place:
                while notes := await asyncio.to_thread(self._notes, encounter):
                    last = len(notes) < BATCH
                    await self._deliver_all(encounter, delivery, notes, last)
                    if last:
                        return
                await asyncio.to_thread(self._in_lease, delivery_leases.release, encounter)
        except LeaseEnded:
            log.warning("delivery.lease_ended", encounter=encounter)
        except Exception as error:  # noqa: BLE001 the event is stored: deliver again later
            failures = delivery.failures + 1
            log.warning("delivery.failed", encounter=encounter, failures=failures, error=type(error).__name__)
            with contextlib.suppress(Exception):  # the lease runs out by itself
                pause = _pause(failures)
                await asyncio.to_thread(self._in_lease, delivery_leases.give_back, encounter, failures, pause)
        finally:
            self._running.pop(encounter, None)
            # Another gateway may have stored an event meanwhile, and left it to the holder of the lease.
            self._wanted.set()

    async def _deliver_all(
        self, encounter: str, delivery: _Delivery, notes: list[tuple[int, Note]], last: bool
    ) -> None:
        """Deliver and mark together, also when one fails or this process stops: an unmarked note is only delivered again.

        One that failed before is tried with a single note: until it answers, more would only add to its load.
        """
        done: list[int] = []
        try:
            while len(done) < len(notes):
                if time.monotonic() > delivery.until:
                    raise LeaseEnded
                together = TOGETHER if done or not delivery.failures else 1
                some = notes[len(done) : len(done) + together]
                calls = [asyncio.ensure_future(self._deliver(encounter, note)) for _, note in some]
                try:
                    await delivery.place.over(calls)
                finally:
                    ended = [(one, call) for (one, _), call in zip(some, calls, strict=True) if not call.cancelled()]
                    done += [sequence for sequence, call in ended if call.exception() is None]
                for call in calls:
                    call.result()
        finally:
            if done:
                await asyncio.to_thread(self._delivered, encounter, done, last and len(done) == len(notes))

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
            over = over or delivery_leases.left_over(session)
        if numbers == self._numbers_seen and not over:
            return False
        with self._db.write() as session:
            serialize(session)
            retention.let_go(session, now)
            fhir.let_go(session, now)
            delivery_leases.remove_left_over(session)
            if numbers != self._numbers_seen:
                quarantine.release_claims(session, keys, now)
        self._numbers_seen = numbers
        return True

    def _undelivered(self) -> list[str]:
        with self._db.read() as session:
            return encounters.with_undelivered_events(session)

    def _claimed(self) -> list[Claimed]:
        """Lease what there are places for, and as many again: a place that becomes free is used at once."""
        under_way = list(self._running.values())
        steady = 2 * self._concurrency - sum(one.place.fast for one in under_way)
        failed = RETRIES - sum(bool(one.failures) for one in under_way)
        with self._db.read() as session:
            if not delivery_leases.waiting(session, self._holder, steady, failed, list(self._running)):
                return []
        with self._db.write() as session:
            return delivery_leases.claim(session, self._holder, steady, failed, list(self._running))

    def _in_lease(self, change: Callable[..., None], *arguments: object) -> None:
        with self._db.write() as session:
            change(session, self._holder, *arguments)

    def _notes(self, encounter: str) -> list[tuple[int, Note]]:
        """The next notes, each with the sequence of its event."""
        with self._db.read() as session:
            rows = encounters.undelivered_events(session, encounter, BATCH)
            epoch = epoch_of(session)
        return [(row.sequence, note_of(row.note_key, row.type, row.sequence, epoch)) for row in rows]

    def _delivered(self, encounter: str, sequences: list[int], last: bool) -> None:
        with self._db.write() as session:
            noted = encounters.mark_delivered(session, encounter, sequences, datetime.now(UTC))
            if last:
                delivery_leases.release(session, self._holder, encounter)
        for event, sequence in noted:
            log_step("event.noted", event_id=event, encounter=encounter, sequence=sequence)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            with contextlib.suppress(Exception):  # the leases run out by themselves
                await asyncio.to_thread(self._in_lease, delivery_leases.release_all)


def _pause(failures: int) -> float:
    """Seconds until the next try: doubling, with jitter so that many encounters do not come back at one instant."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 jitter
