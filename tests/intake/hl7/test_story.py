"""A recorded site feed, sent over a socket, does exactly what the CloudEvents of the same story do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hl7.client import MLLPClient
from sqlmodel import select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.hl7.framing import END, RETURN, START
from intake.hl7.message import Message, read
from intake.inbox.receive import receive
from store.engine import Database
from store.facts import load_facts
from store.identifiers import look_up
from store.keys import Keyring, create_keyring
from store.tables import AuditEntry, Encounter, Inbox, Quarantine
from tests.kit import events as e
from tests.kit.databases import migrated_database
from tests.kit.mllp import Mllp, framed, recorded

APPOINTMENT, STAY = "cart.appointment.", "cart.admission."


def story() -> list[dict[str, Any]]:
    """What the recorded messages say, written as events by hand. Times without an offset are New York's."""
    apheresis = {"appointment_id": "APPT-1", "stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}
    infusion = {"appointment_id": "APPT-2", "stage": "infusion", "facility": "st_mary", "setting": "inpatient"}
    follow_up = {"appointment_id": "APPT-3", "stage": "follow_up", "facility": "st_mary", "setting": "outpatient"}
    stay, visit = {"admission_id": "VISIT-1"}, {"admission_id": "VISIT-2"}
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("2026-03-01T08:00:00-05:00", APPOINTMENT + "booked", apheresis | {"starts_at": "2026-03-02T09:00:00-05:00"}),
        (
            "2026-03-01T09:00:00-05:00",
            APPOINTMENT + "rescheduled",
            apheresis | {"starts_at": "2026-03-03T09:30:00-05:00"},
        ),
        ("2026-03-01T09:30:00-05:00", APPOINTMENT + "booked", infusion | {"starts_at": "2026-04-01T09:00:00-04:00"}),
        ("2026-03-02T10:00:00-05:00", APPOINTMENT + "cancelled", {"appointment_id": "APPT-2"}),
        ("2026-03-02T11:00:00-05:00", APPOINTMENT + "booked", follow_up | {"starts_at": "2026-04-20T10:00:00-04:00"}),
        (
            "2026-03-02T11:30:00-05:00",
            APPOINTMENT + "rescheduled",
            follow_up | {"starts_at": "2026-04-21T10:00:00-04:00"},
        ),
        ("2026-04-21T12:00:00-04:00", APPOINTMENT + "missed", {"appointment_id": "APPT-3"}),
        (
            "2026-03-31T07:00:00-04:00",
            STAY + "started",
            stay
            | {
                "facility": "st_mary",
                "at": "2026-03-31T06:30:00-04:00",
                "class": "inpatient",
                "type": "3",
                "source": "1",
            },
        ),
        (
            "2026-04-01T07:00:00-04:00",
            STAY + "changed",
            stay | {"facility": "st_mary", "at": "2026-04-01T07:00:00-04:00", "class": "inpatient"},
        ),
        (
            "2026-04-10T15:00:00-04:00",
            STAY + "ended",
            stay | {"at": "2026-04-10T14:30:00-04:00", "discharge_status": "01"},
        ),
        ("2026-04-10T16:00:00-04:00", STAY + "cancelled", stay | {"what": "discharge"}),
        (
            "2026-04-12T15:00:00-04:00",
            STAY + "ended",
            stay | {"at": "2026-04-12T14:00:00-04:00", "discharge_status": "01"},
        ),
        (
            "2026-04-15T08:00:00-04:00",
            STAY + "started",
            visit | {"facility": "st_mary", "at": "2026-04-15T07:55:00-04:00", "class": "outpatient"},
        ),
        (
            "2026-04-15T18:00:00-04:00",
            STAY + "changed",
            visit | {"facility": "st_mary", "at": "2026-04-15T17:30:00-04:00", "class": "inpatient"},
        ),
        (
            "2026-04-15T19:00:00-04:00",
            STAY + "changed",
            visit | {"facility": "st_mary", "at": "2026-04-15T18:50:00-04:00", "class": "outpatient"},
        ),
        ("2026-04-16T08:00:00-04:00", STAY + "cancelled", visit | {"what": "admission"}),
    ]
    return [
        {**e.event(f"e-{number}", event_type, data), "time": time}
        for number, (time, event_type, data) in enumerate(steps)
    ]


def record(db: Database, keys: Keyring, beside: Collection[str] = ()) -> tuple[Any, ...]:
    """Appointments and stays as they stand, without ids drawn at random; nothing waits, but what is named may be kept."""
    with db.read() as session:
        encounter = session.exec(select(Encounter.encounter_id)).one()
        assert {row.state for row in session.exec(select(Quarantine))} <= {"released", *beside}
    own, _ = load_facts(db, keys, encounter, 10_000)
    seen = Record(fold(own))
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    appointments = [replace(one, events=(), received_at=epoch) for one in seen.appointments]
    return appointments, [replace(one, events=()) for one in seen.stays], len(own)


@pytest.fixture
def expected(tmp_path: Path) -> tuple[Any, ...]:
    db, keys = migrated_database(tmp_path / "events.db"), create_keyring(tmp_path / "event-keys.json")
    for event in [e.referral(), *story()]:
        receive(db, keys, event, e.NOW, "t")
    seen = record(db, keys)
    db.close()
    return seen


def test_the_story_itself_is_not_trivial(expected: tuple[Any, ...]) -> None:
    appointments, stays, _ = expected
    assert {a.id: a.status for a in appointments} == {"APPT-1": "booked", "APPT-2": "cancelled", "APPT-3": "missed"}
    assert [stay.id for stay in stays] == ["VISIT-1"]


async def test_messages_over_a_socket_do_what_the_events_do(mllp: Mllp, expected: tuple[Any, ...]) -> None:
    receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t")
    answers = await asyncio.to_thread(sent_by_a_client, mllp.port, recorded("story"))
    assert {answer.get("MSA-1") for answer in answers} == {"AA"}
    assert record(mllp.db, mllp.keys) == expected
    assert mllp.woken


def sent_by_a_client(port: int, messages: list[bytes]) -> list[Message]:
    """By the MLLP client of `hl7`, as a sending system would."""
    with MLLPClient("127.0.0.1", port) as client:
        return [read(client.send_message(message).strip(START + END + RETURN) + RETURN) for message in messages]


async def test_the_broken_ones_in_between_change_nothing_of_it(mllp: Mllp, expected: tuple[Any, ...]) -> None:
    receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t")
    mixed = [one for pair in zip_longest(recorded("story"), recorded("broken")) for one in pair if one]
    answers = await asyncio.to_thread(sent_by_a_client, mllp.port, mixed)
    codes = Counter(answer.get("MSA-1") for answer in answers)
    assert (codes["AA"], codes["AE"], codes["AR"]) == (17, 8, 3)
    assert record(mllp.db, mllp.keys, beside={"unmapped", "invalid"}) == expected


@pytest.mark.parametrize("seed", range(4))
async def test_shuffled_and_doubled_before_its_referral_it_is_the_same(
    mllp: Mllp, expected: tuple[Any, ...], seed: int
) -> None:
    sent = recorded("story") * 2
    random.Random(seed).shuffle(sent)
    client = await mllp.connect()
    for message in sent:
        assert (await client.send(message)).get("MSA-1") == "AA"
    await client.close()
    receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t")
    assert record(mllp.db, mllp.keys) == expected


async def test_a_merge_lets_the_new_number_find_the_encounter(mllp: Mllp) -> None:
    opened = receive(mllp.db, mllp.keys, e.referral(), e.NOW, "t").encounter_id
    client = await mllp.connect()
    assert (await client.send(recorded("merge")[0])).get("MSA-1") == "AA"
    admitted = recorded("story")[7].replace(b"MRN-CANARY-77", b"MRN-CANARY-NEW")
    assert (await client.send(admitted)).get("MSA-1") == "AA"
    await client.close()
    with mllp.db.read() as session:
        assert look_up(session, mllp.keys, "VISIT-1") == [opened]
        assert "merge" in session.exec(select(AuditEntry.action)).all()
    again = receive(mllp.db, mllp.keys, e.referral("r-2", "ORD-2", mrn="MRN-CANARY-NEW"), e.NOW, "t")
    assert again.encounter_id == opened


async def test_many_senders_at_once(mllp: Mllp) -> None:
    """Each patient's messages keep their order; connections do not disturb each other."""

    async def send(patient: int) -> list[str | None]:
        client = await mllp.connect()
        names = {b"MRN-CANARY-77": b"M-%d" % patient, b"ORD-1": b"O-%d" % patient, b"APPT": b"A%d" % patient}
        codes = []
        for message in recorded("story")[:7]:
            for old, new in names.items():
                message = message.replace(old, new)
            message = message.replace(b"|100", b"|%d00" % (patient + 1))
            codes.append((await client.send(message)).get("MSA-1"))
        await client.close()
        return codes

    answers = await asyncio.gather(*(send(patient) for patient in range(6)))
    assert {code for codes in answers for code in codes} == {"AA"}
    with mllp.db.read() as session:
        assert len(session.exec(select(Encounter)).all()) == 6
        assert len(session.exec(select(Inbox)).all()) == 42


async def test_an_answer_carries_the_control_id_and_a_zoned_time(mllp: Mllp) -> None:
    client = await mllp.connect()
    answer = await client.send(recorded("story")[0])
    await client.close()
    assert (answer.get("MSA-2"), answer.get("MSH-9.2"), answer.get("MSH-12")) == ("1001", "S12", "2.3.1")
    assert (answer.get("MSH-5"), answer.get("MSH-7")) == ("CADENCE", e.NOW.strftime("%Y%m%d%H%M%S%z"))
    assert framed(b"")[0] == 0x0B
