"""Delivery: a few notes of an encounter at once, tried again after every failure."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict

import pytest
from sqlalchemy import event
from sqlmodel import col, select

from intake import delivery
from intake.delivery import Deliverer
from intake.inbox.receive import receive
from store.engine import Database
from store.keys import Keyring
from store.tables import EncounterEvent
from tests.kit import events as e
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


async def test_several_encounters_at_once_but_not_more_than_allowed(store: Store) -> None:
    post_patients(store, patients=8, events=3)
    encounters = Encounters()
    await Deliverer(store[0], encounters.deliver, concurrency=3).drain()
    assert 2 <= encounters.most_at_once <= 3


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
    with store[0].engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE encounter_events RENAME TO away")
    failures: list[object] = []
    event.listen(store[0].engine, "handle_error", failures.append)
    running = asyncio.create_task(deliverer.run())
    await eventually_async(lambda: len(failures) >= 2, "two looks found no table")
    with store[0].engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO encounter_events")
    post_patients(store, patients=1, events=1)
    await eventually_async(lambda: not undelivered(store[0]), "delivered")
    running.cancel()
    assert list(encounters.noted.values()) == [[1]]
