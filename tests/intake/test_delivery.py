"""Delivery: a few notes of an encounter at once, tried again after every failure."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event
from sqlmodel import col, select

from intake import delivery
from intake.delivery import Deliverer
from intake.inbox.receive import receive
from store import delivery_leases
from store.engine import Database
from store.keys import Keyring
from store.tables import DeliveryLease, EncounterEvent
from tests.kit import events as e
from tests.kit.databases import as_owner
from tests.kit.waiting import eventually_async
from workflows.messages import Note

Store = tuple[Database, Keyring]


class Encounters:
    """In place of the workflows: accepts notes, fails on request, and counts the calls under way."""

    def __init__(self, failures: float = 0.0, away: bool = False) -> None:
        self.noted: dict[str, list[int]] = defaultdict(list)
        self.keys: set[str] = set()
        self.calls = 0
        self.most_at_once = 0
        self.most_of_one = 0
        self.away = away
        self._failures, self._random = failures, random.Random(7)
        self._busy: Counter[str] = Counter()

    async def deliver(self, encounter: str, note: Note) -> None:
        self.calls += 1
        self._busy[encounter] += 1
        self.most_at_once = max(self.most_at_once, len(+self._busy))
        self.most_of_one = max(self.most_of_one, self._busy[encounter])
        try:
            for _ in range(3):
                await asyncio.sleep(0)  # others go on meanwhile
            if self.away or self._random.random() < self._failures:
                raise ConnectionError("away")
            self.noted[encounter].append(note.sequence)
            self.keys.add(note.key)
        finally:
            self._busy[encounter] -= 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.05)


def post_patients(store: Store, patients: int, events: int) -> None:
    db, keys = store
    for patient in range(patients):
        for number in range(events):
            receive(db, keys, e.booking(f"b-{patient}-{number}", f"ORD-{patient}", f"A-{patient}-{number}"), e.NOW, "t")


def deliverable(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.exec(select(EncounterEvent.encounter_id)))


def undelivered(db: Database) -> int:
    with db.read() as session:
        return len(session.exec(select(EncounterEvent).where(col(EncounterEvent.delivered_at).is_(None))).all())


async def test_every_event_is_delivered_whatever_fails(store: Store) -> None:
    post_patients(store, patients=5, events=7)
    encounters = Encounters(failures=0.3)
    await Deliverer(store[0], encounters.deliver).drain()
    assert [sorted(noted) for noted in encounters.noted.values()] == [[1, 2, 3, 4, 5, 6, 7]] * 5
    assert encounters.calls > 35
    assert undelivered(store[0]) == 0


async def test_a_backlog_is_delivered_in_its_order_a_few_at_once(store: Store) -> None:
    post_patients(store, patients=1, events=delivery.BATCH + 7)
    encounters = Encounters()
    await Deliverer(store[0], encounters.deliver).drain()
    assert list(encounters.noted.values()) == [list(range(1, delivery.BATCH + 8))]
    assert encounters.most_of_one == delivery.TOGETHER


async def test_notes_delivered_before_a_failure_are_not_delivered_again(store: Store) -> None:
    post_patients(store, patients=1, events=7)
    encounters = Encounters()
    failing = [6]

    async def deliver(encounter: str, note: Note) -> None:
        if note.sequence in failing:
            failing.remove(note.sequence)
            raise ConnectionError("away")
        await encounters.deliver(encounter, note)

    await Deliverer(store[0], deliver).drain()
    assert [sorted(noted) for noted in encounters.noted.values()] == [[1, 2, 3, 4, 5, 6, 7]]


async def test_encounters_that_take_no_note_do_not_stall_the_others(store: Store) -> None:
    """Sixty whose calls end in nothing after five seconds, and one new event at a time for others."""
    post_patients(store, patients=60, events=1)
    deliverer: Deliverer
    others = Encounters()
    stuck = set(deliverable(store[0]))

    async def deliver(encounter: str, note: Note) -> None:
        if encounter in stuck:
            await asyncio.sleep(5)
            raise TimeoutError
        await others.deliver(encounter, note)

    deliverer = Deliverer(store[0], deliver, poll_seconds=0.05)
    running = asyncio.create_task(deliverer.run())
    try:
        waits = []
        for number in range(40):
            receive(store[0], store[1], e.booking(f"o-{number}", f"OTHER-{number}", f"O-{number}"), e.NOW, "t")
            began = asyncio.get_running_loop().time()
            deliverer.wake()
            await eventually_async(lambda at=number: len(others.noted) > at, "delivered")
            waits.append(asyncio.get_running_loop().time() - began)
        assert sorted(waits)[20] < 0.25
        # The first ones may wait while each of the sixty shows that it takes no note.
        assert max(waits) < 5
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert undelivered(store[0]) == 60


async def test_what_failed_before_starts_in_the_slow_lane_also_in_another_process(store: Store) -> None:
    post_patients(store, patients=1, events=3)
    tries: list[int] = []

    async def failing(encounter: str, note: Note) -> None:
        tries.append(note.sequence)
        raise ConnectionError("away")

    first = Deliverer(store[0], failing, poll_seconds=0.01)
    running = asyncio.create_task(first.run())
    await eventually_async(lambda: len(tries) > 4, "tried again")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert tries[:3] == [1, 2, 3]
    assert set(tries[3:]) == {1}, "one note only, until it is taken"
    with store[0].read() as session:
        [lease] = session.exec(select(DeliveryLease)).all()
    assert lease.failures >= 2
    encounters = Encounters()
    await Deliverer(store[0], encounters.deliver).drain()
    assert list(encounters.noted.values()) == [[1, 2, 3]]
    with store[0].read() as session:
        assert not session.exec(select(DeliveryLease)).all()


async def test_two_gateways_deliver_each_event_once(db: Database, keys: Keyring) -> None:
    """Both are woken by every event, as far as they know; no event waits for the slow look of either."""
    encounters = Encounters()
    gateways = [Deliverer(db, encounters.deliver, poll_seconds=600.0) for _ in range(2)]
    running = [asyncio.create_task(one.run()) for one in gateways]
    try:
        for number in range(60):
            patient = number % 7
            event_ = e.booking(f"b-{number}", f"ORD-{patient}", f"A-{number}")
            await asyncio.to_thread(receive, db, keys, event_, e.NOW, "t")
            gateways[number % 2].wake()
        await eventually_async(lambda: not undelivered(db), "delivered", 30)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert encounters.calls == 60
    assert sum(map(len, encounters.noted.values())) == 60


async def test_a_frozen_gateway_loses_its_encounters_and_delivers_none_of_them_when_it_goes_on(
    db: Database, keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (delivery, delivery_leases):
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=0.5))
    for number in range(6):
        receive(db, keys, e.booking(f"b-{number}", "ORD-1", f"A-{number}"), e.NOW, "t")
    thawed, calls = asyncio.Event(), []

    async def deliver_slowly(encounter: str, note: Note) -> None:
        calls.append(note.sequence)
        await thawed.wait()

    monkeypatch.setattr(Deliverer, "_renew", _nothing)
    frozen = asyncio.create_task(Deliverer(db, deliver_slowly).run())
    await eventually_async(lambda: len(calls) == delivery.TOGETHER, "it delivers")
    other = Encounters()
    async with asyncio.timeout(10):
        await Deliverer(db, other.deliver).drain()
    assert list(other.noted.values()) == [[1, 2, 3, 4, 5, 6]]
    thawed.set()
    await asyncio.sleep(0)
    frozen.cancel()
    await asyncio.gather(frozen, return_exceptions=True)
    assert len(calls) == delivery.TOGETHER


async def _nothing(_: Deliverer) -> None:
    return


async def test_a_lease_from_a_clock_that_was_wrong_counts_for_nothing(db: Database, keys: Keyring) -> None:
    receive(db, keys, e.booking("b-1", "ORD-1", "A-1"), e.NOW, "t")
    with db.write() as session:
        [claimed] = delivery_leases.claim(session, "other", 1, 0, [])
        assert delivery_leases.claim(session, "this", 1, 0, []) == []
        session.get_one(DeliveryLease, claimed.encounter).until = datetime.now(UTC) + timedelta(hours=3)
    with db.write() as session:
        assert delivery_leases.claim(session, "this", 1, 0, []) == [claimed]


async def test_what_is_left_of_leases_goes(store: Store) -> None:
    """A release before this one delivers without leases."""
    db, keys = store
    receive(db, keys, e.booking("b-1", "ORD-1", "A-1"), e.NOW, "t")
    with db.write() as session:
        [claimed] = delivery_leases.claim(session, "other", 1, 0, [])
        delivery_leases.give_back(session, "other", claimed.encounter, 3, 30.0)
    deliverer = Deliverer(db, Encounters().deliver, keys=keys)
    deliverer.tidy(keys, e.NOW)
    with db.write() as session:
        assert session.exec(select(DeliveryLease)).all(), "its event is undelivered"
        for row in session.exec(select(EncounterEvent)):
            row.delivered_at = e.NOW
    deliverer.tidy(keys, e.NOW)
    with db.read() as session:
        assert not session.exec(select(DeliveryLease)).all()


async def test_a_stop_at_any_moment_ends_delivery(store: Store) -> None:
    """Also in the instant in which an event wakes it."""
    for moment in range(8):
        deliverer = Deliverer(store[0], Encounters().deliver, poll_seconds=600.0)
        running = asyncio.create_task(deliverer.run())
        await eventually_async(lambda one=deliverer, began=deliverer.turned: one.turned > began, "it waits")
        deliverer.wake()
        for _ in range(moment):
            await asyncio.sleep(0)
        running.cancel()
        ended, _ = await asyncio.wait({running}, timeout=5)
        running.cancel()
        assert ended, f"stopped {moment} steps after a new event"


async def test_several_encounters_at_once_but_not_more_than_allowed(store: Store) -> None:
    post_patients(store, patients=8, events=3)
    encounters, together = Encounters(), asyncio.Event()

    async def deliver(encounter: str, note: Note) -> None:
        """The first waits for the second, however slow the machine is."""
        under_way.add(encounter)
        if len(under_way) > 1:
            together.set()
        await eventually_async(together.is_set, "a second encounter is delivered")
        await encounters.deliver(encounter, note)

    under_way: set[str] = set()
    await Deliverer(store[0], deliver, concurrency=3).drain()
    assert len(under_way) == 8
    assert encounters.most_at_once <= 3


async def test_a_new_event_wakes_delivery_and_an_outage_only_delays_it(store: Store) -> None:
    encounters = Encounters(away=True)
    deliverer = Deliverer(store[0], encounters.deliver, poll_seconds=0.02)
    running = asyncio.create_task(deliverer.run())
    try:
        post_patients(store, patients=1, events=1)
        deliverer.wake()
        await eventually_async(lambda: encounters.calls >= 3, "it was tried again")
        assert undelivered(store[0]) == 1
        encounters.away = False
        await eventually_async(lambda: not undelivered(store[0]), "delivered")
    finally:
        running.cancel()
    assert list(encounters.noted.values()) == [[1]]


async def test_what_was_delivered_but_not_marked_is_delivered_again_with_the_same_key(store: Store) -> None:
    """Killed between the call and the mark: the workflow sees the same update id twice, and nothing is left out."""
    post_patients(store, patients=1, events=2)
    encounters = Encounters()
    await Deliverer(store[0], encounters.deliver).drain()
    with store[0].write() as session:
        for row in session.exec(select(EncounterEvent)):
            row.delivered_at = None
    await Deliverer(store[0], encounters.deliver).drain()
    assert list(encounters.noted.values()) == [[1, 2, 1, 2]]
    assert len(encounters.keys) == 2


async def test_delivery_resumes_after_a_database_outage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    encounters = Encounters()
    deliverer = Deliverer(store[0], encounters.deliver, poll_seconds=0.01)
    with as_owner(store[0]) as connection:
        connection.exec_driver_sql("ALTER TABLE encounter_events RENAME TO away")
    failures: list[object] = []
    event.listen(store[0].engine, "handle_error", failures.append)
    running = asyncio.create_task(deliverer.run())
    await eventually_async(lambda: len(failures) >= 2, "two looks found no table")
    with as_owner(store[0]) as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO encounter_events")
    post_patients(store, patients=1, events=1)
    await eventually_async(lambda: not undelivered(store[0]), "delivered")
    running.cancel()
    assert list(encounters.noted.values()) == [[1]]
