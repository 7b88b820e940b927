"""Eight senders, and everything they depend on is killed while they send: what was acknowledged is applied once.

Four post CloudEvents, four speak HL7 v2 through the MLLP client of `hl7`. Each sends again what was not acknowledged, as a
sender does. `CART_OUTAGE_EVENTS=1000` sends so many; some of them are part of every run.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hl7.client import MLLPClient
from sqlmodel import col, select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from store.engine import Database
from store.facts import load_facts
from store.identifiers import look_up
from store.keys import read_keyring
from store.tables import Encounter, EncounterEvent, Inbox, Quarantine
from tests.kit import events as e
from tests.kit.postgres import postgres_server
from tests.kit.waiting import eventually
from tests.stack.harness import Stack

EVENTS = int(os.environ.get("CART_OUTAGE_EVENTS", "80"))
SENDERS = 8
KILLS = 8 if EVENTS >= 500 else 4
PER_PATIENT = 5
PATIENCE = int(os.environ.get("CART_OUTAGE_PATIENCE", "300"))
DAY = datetime.fromisoformat("2026-03-01T08:00:00-05:00")


def cloud_events(patient: str) -> list[Any]:
    """Referred, booked, moved, cancelled, booked again."""
    place = {"stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}
    booking = {"appointment_id": f"A-{patient}"}
    messages = [
        ("cart.appointment.booked", booking | place | {"starts_at": "2026-04-01T09:00:00-04:00"}),
        ("cart.appointment.rescheduled", booking | {"starts_at": "2026-04-02T09:00:00-04:00"}),
        ("cart.appointment.cancelled", booking),
        ("cart.appointment.booked", booking | place | {"starts_at": "2026-04-03T09:00:00-04:00"}),
    ]
    events = [e.referral(f"r-{patient}", f"ORD-{patient}", mrn=f"MRN-{patient}")]
    for number, (kind, data) in enumerate(messages):
        event = e.event(f"{patient}-{number}", kind, data, subject=f"ORD-{patient}")
        events.append(event | {"time": (DAY + timedelta(hours=number)).isoformat()})
    return events


def messages(patient: str) -> list[Any]:
    """The same by HL7, where the referral comes as an event."""
    messages = (("S12", "20260401090000"), ("S13", "20260402090000"), ("S15", ""), ("S12", "20260403090000"))
    return [
        e.referral(f"r-{patient}", f"ORD-{patient}", mrn=f"MRN-{patient}"),
        *(
            f"MSH|^~\\&|CADENCE|STMARY|CART|HUB|{DAY + timedelta(hours=number):%Y%m%d%H%M%S}||SIU^{trigger}^SIU_S12|"
            f"{patient}-{number}|P|2.5\rSCH|PLC|A-{patient}||||||CARTAPH|60|min|^^^{starts}|||||||||||||||ORD-{patient}\r"
            f"PID|1||MRN-{patient}^^^STMARY^MR\rRGS|1\rAIL|1||APH1\r".encode()
            for number, (trigger, starts) in enumerate(messages)
        ),
    ]


@dataclass
class Tally:
    """What the senders received, and how often they had to send again."""

    acknowledged: int = 0
    again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, acknowledged: bool) -> None:
        with self.lock:
            self.acknowledged += acknowledged
            self.again += not acknowledged


class Sender(threading.Thread):
    """Sends its messages one after another, each until it is acknowledged."""

    def __init__(self, stack: Stack, sent: list[Any], tally: Tally) -> None:
        super().__init__(daemon=True)
        self._stack, self._sent, self._tally = stack, sent, tally
        self._http: httpx.Client | None = None
        self._mllp: MLLPClient | None = None
        self.failed = ""

    def run(self) -> None:
        for message in self._sent:
            try:
                eventually(lambda sent=message: self._acknowledged(sent), "acknowledged", PATIENCE, pause=0.1)  # type: ignore[misc]
            except AssertionError:
                self.failed = "never acknowledged"
                return

    def _acknowledged(self, message: Any) -> bool:
        acknowledged = self._sent_once(message)
        self._tally.count(acknowledged=acknowledged)
        return acknowledged

    def _sent_once(self, message: Any) -> bool:
        try:
            return self._by_mllp(message) if isinstance(message, bytes) else self._by_http(message)
        except (httpx.HTTPError, OSError):
            self._http = self._mllp = None
            return False

    def _by_http(self, event: dict[str, Any]) -> bool:
        self._http = self._http or httpx.Client(base_url=self._stack.ready["http"], timeout=30)
        answer = self._http.post("/v1/events", json=event, headers={"Authorization": f"Bearer {self._stack.token}"})
        return answer.status_code == 202

    def _by_mllp(self, message: bytes) -> bool:
        if self._mllp is None:
            host, port = self._stack.ready["mllp"].split(":")
            self._mllp = MLLPClient(host, int(port))
            self._mllp.socket.settimeout(30)
        answer = self._mllp.send_message(message)
        if not answer:
            raise ConnectionError("ended")
        return b"\rMSA|AA|" in answer


@contextlib.contextmanager
def sqlite(stack: Stack) -> Iterator[Callable[[], None] | None]:
    """The database that lies in the processes' own files."""
    try:
        yield None
    finally:
        if stack.process is not None:
            stack.stop()


@contextlib.contextmanager
def postgresql(stack: Stack) -> Iterator[Callable[[], None] | None]:
    """A server of its own that can be killed; gives what kills it and starts it again."""
    with postgres_server({}) as server:
        stack.environment["CART_DATABASE_URL"] = server.create("cart")

        def kill() -> None:
            server.kill()
            server.start()

        try:
            yield kill
        finally:
            if stack.process is not None:
                stack.stop()


def kill_9(stack: Stack, pattern: str) -> Callable[[], None]:
    def kill() -> None:
        for pid in stack.pids(pattern):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return kill


@pytest.mark.parametrize("database", [sqlite, pytest.param(postgresql, marks=pytest.mark.postgres)])
def test_killed_while_eight_send_every_acknowledged_event_is_applied_once(
    tmp_path: Path, database: Callable[[Stack], Any]
) -> None:
    patients = [f"{sender}-{number}" for number in range(EVENTS // SENDERS // PER_PATIENT) for sender in range(SENDERS)]
    by_sender: dict[str, list[Any]] = {}
    for patient in patients:
        of = messages if int(patient[0]) % 2 else cloud_events
        by_sender.setdefault(patient[0], []).extend(of(patient))
    total = sum(map(len, by_sender.values()))
    stack, tally = Stack(tmp_path / "data"), Tally()
    with database(stack) as kill_database:
        stack.start()
        victims = {
            "gateway": kill_9(stack, "app.cli.main gateway"),
            "temporal": kill_9(stack, "server start-dev"),
            "worker": kill_9(stack, "app.cli.main worker"),
            **({"database": kill_database} if kill_database else {}),
        }
        senders = [Sender(stack, sent, tally) for sent in by_sender.values()]
        began = time.monotonic()
        for sender in senders:
            sender.start()
        kills = []
        for share, (name, kill) in zip(range(1, KILLS + 1), itertools.cycle(victims.items()), strict=False):
            eventually(lambda at=share * total // (KILLS + 1): tally.acknowledged >= at, f"share {share}", PATIENCE)
            kill()
            kills.append(f"{name} at {tally.acknowledged}")
        for sender in senders:
            sender.join(PATIENCE)
            assert not sender.is_alive()
            assert not sender.failed
        sent_in = time.monotonic() - began
        db, keys = Database(stack.database), read_keyring(stack.data_dir / "keys.json")
        eventually(lambda: applied(db) == total, "every event is applied", PATIENCE)
        applied_in = time.monotonic() - began
        check(db, keys, patients, total)
        repeated(stack, by_sender)
        assert applied(db) == total, "sent again, nothing is counted twice"
        db.close()
        print(
            f"{database.__name__}: {total} events of {SENDERS} senders, killed: {', '.join(kills)}; {tally.again} tries not "
            f"acknowledged; all acknowledged in {sent_in:.1f} s, applied in {applied_in:.1f} s; 0 missing, 0 twice"
        )
        assert stack.stop() == 0


def applied(db: Database) -> int:
    """Events that are delivered and seen by their encounter's last decision."""
    with db.read() as session:
        query = (
            select(EncounterEvent.event_id)
            .join(Encounter, col(Encounter.encounter_id) == EncounterEvent.encounter_id)
            .where(col(EncounterEvent.delivered_at).is_not(None))
            .where(col(EncounterEvent.sequence) <= col(Encounter.decided_sequence))
        )
        return len(session.exec(query).all())


def check(db: Database, keys: Any, patients: list[str], total: int) -> None:
    with db.read() as session:
        events = session.exec(select(Inbox.event_id)).all()
        links = session.exec(select(EncounterEvent.event_id)).all()
        assert len(events) == total
        assert sorted(links) == sorted(events)
        assert {row.state for row in session.exec(select(Quarantine))} <= {"released"}
        found = [look_up(session, keys, f"ORD-{patient}") for patient in patients]
    assert all(len(one) == 1 for one in found)
    for (encounter,) in found:
        record = Record(fold(load_facts(db, keys, encounter, 1000)[0]))
        [appointment] = record.appointments
        assert (appointment.status, appointment.starts_at.day, len(appointment.events)) == ("booked", 3, 4)


def repeated(stack: Stack, by_sender: dict[str, list[Any]]) -> None:
    tally = Tally()
    senders = [Sender(stack, sent, tally) for sent in by_sender.values()]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE)
    assert tally.acknowledged == sum(map(len, by_sender.values()))
