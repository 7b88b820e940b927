"""Resources that a message only names are asked for, over HTTP, signed in by SMART Backend Services; keys and tokens change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, KeySet
from sqlmodel import select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.fhir.authorization import Tokens
from intake.fhir.missed_notifications import Asker
from intake.fhir.notification import read_notification
from intake.fhir.receiver import FhirReceiver
from intake.site_mapping import FhirFeed, MappingError, parse_mapping
from store.engine import Database
from store.facts import load_facts
from store.keys import Keyring
from store.tables import AlertRecord, AuditEntry, Encounter, FhirResource, Quarantine
from tests.kit import events as e
from tests.kit.fhir import PATIENT, announced, appointment, encounter, r4, r4b
from tests.kit.fhir_server import CLIENT, FhirServer, key_files, rsa, serving
from tests.kit.files import DEPLOY

Json = dict[str, Any]
LOCATION: Json = {"resourceType": "Location", "id": "l1", "name": "APH1"}


class World:
    """A store, the receiver and the asker, with a clock to be moved."""

    def __init__(self, db: Database, keys: Keyring, feed: FhirFeed) -> None:
        mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
        mapping = mapping.model_copy(update={"fhir_feeds": (feed,)})
        self.db, self.keys, self.feed, self.now = db, keys, feed, e.NOW
        self.door = FhirReceiver(db, keys, mapping)
        self.asker = Asker(db, keys, mapping, lambda: self.now, lambda: None)

    def take(self, body: Json) -> tuple[list[str], list[int]]:
        receipts, missing = self.door.take(self.feed, read_notification(body), self.now, None)
        return [receipt.disposition.value for receipt in receipts], missing

    def bookings(self) -> list[str]:
        with self.db.read() as session:
            encounters = session.exec(select(Encounter.encounter_id)).all()
        records = [Record(fold(load_facts(self.db, self.keys, one, 1000)[0])) for one in encounters]
        return [f"{one.id} {one.status}" for record in records for one in record.appointments]

    def kept(self) -> list[str]:
        with self.db.read() as session:
            return sorted(row.state for row in session.exec(select(Quarantine)))

    def outcomes(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            query = select(AuditEntry.target, AuditEntry.outcome).where(AuditEntry.action == "ask")
            return list(session.exec(query.order_by(AuditEntry.at)))


@pytest.fixture
async def server() -> AsyncIterator[FhirServer]:
    async with serving(FhirServer()) as known:
        yield known


def feed_of(server: FhirServer, **changes: Any) -> FhirFeed:
    packaged = parse_mapping((DEPLOY / "hl7.example.toml").read_text()).fhir_feeds[0]
    return packaged.model_copy(update={"ask_at": f"{server.address}/r4/"} | changes)


@pytest.fixture
def world(store: tuple[Database, Keyring], server: FhirServer) -> World:
    return World(*store, feed_of(server))


def by_reference() -> Json:
    """A booking whose patient and place are known by reference only."""
    made = appointment(1)
    made["participant"][1]["actor"] = {"reference": "Location/l1"}
    return made


async def test_a_patient_and_a_place_that_are_only_named_are_asked_for(world: World, server: FhirServer) -> None:
    server.resources = {"Patient/p1": PATIENT, "Location/l1": LOCATION}

    assert world.take(by_reference()) == (["quarantined"], [])
    assert world.kept() == ["unmapped"]
    assert await world.asker.ask() == 2

    assert world.bookings() == ["a1 booked"]
    assert sorted(world.outcomes()) == [("a Location", "answered"), ("a Patient", "answered")]
    assert world.kept() == ["released", "released"]
    assert await world.asker.ask() == 0
    later = by_reference() | {"id": "a2"}
    assert world.take(later) == (["accepted"], [])


async def test_what_is_not_to_be_had_is_asked_for_less_and_less_often_and_stays_a_persons_work(
    world: World, server: FhirServer
) -> None:
    server.resources = {"Location/l1": LOCATION}
    world.take(by_reference())
    for _ in range(100):
        await world.asker.ask()
        world.now += timedelta(seconds=20)
    refused = [outcome for target, outcome in world.outcomes() if target == "a Patient"]
    assert set(refused) == {"refused 404"}
    assert 5 <= len(refused) <= 9
    assert "unmapped" in world.kept()
    server.resources["Patient/p1"] = PATIENT
    world.now += timedelta(hours=1)
    await world.asker.ask()
    assert world.bookings() == ["a1 booked"]


async def test_another_resource_than_the_one_asked_for_is_not_believed(world: World, server: FhirServer) -> None:
    server.resources = {"Patient/p1": PATIENT | {"id": "p2"}, "Location/l1": LOCATION}
    world.take(by_reference())
    await world.asker.ask()
    assert ("a Patient", "another resource") in world.outcomes()
    assert world.bookings() == []


@pytest.mark.parametrize(
    "reference", ["Patient/../../admin", "https://elsewhere.example/r4/Patient/p1", "Patient/p1?x=1", "urn:uuid:1"]
)
async def test_only_a_resource_of_the_feeds_server_is_asked_for(
    world: World, server: FhirServer, reference: str
) -> None:
    made = appointment(1)
    made["participant"][0]["actor"] = {"reference": reference}
    world.take(made)
    assert await world.asker.ask() == 0
    assert server.asked == []
    assert world.kept() == ["unmapped"]


@pytest.mark.parametrize("supports_events", [True, False])
async def test_what_a_payload_of_ids_names_is_asked_for_by_itself(
    world: World, server: FhirServer, supports_events: bool
) -> None:
    server.resources = {"Appointment/a1": appointment(1), "Patient/p1": PATIENT}
    server.supports_events = supports_events
    world.take(r4("handshake", [], 1))
    assert world.take(announced("id-only"))[1] == [2]

    for _ in range(2):
        await world.asker.ask()

    assert world.bookings() == ["a1 booked"]
    with world.db.read() as session:
        assert session.exec(select(AlertRecord.kind, AlertRecord.state)).one() == ("notification_gap", "resolved")


async def test_what_is_gone_from_its_server_is_work_where_it_is_known(world: World, server: FhirServer) -> None:
    world.take(r4b("event-notification", [1], 1, appointment(1), PATIENT))
    server.gone = {"Appointment/a1"}
    world.take(announced("id-only"))
    await world.asker.ask()
    assert world.outcomes() == [("an Appointment", "gone")]
    assert world.kept() == ["unmapped"]


async def test_what_is_remembered_is_encrypted(world: World, server: FhirServer) -> None:
    server.resources = {"Patient/p1": PATIENT, "Location/l1": LOCATION}
    world.take(by_reference())
    await world.asker.ask()
    with world.db.read() as session:
        rows = session.exec(select(FhirResource)).all()
    assert {row.kind for row in rows} == {"Patient", "Location"}
    assert all(b"CANARY" not in row.body and b"p1" not in row.resource_key.encode() for row in rows)


async def test_a_token_is_had_for_a_signed_statement_and_used_until_it_ends(
    store: tuple[Database, Keyring], server: FhirServer, tmp_path: Path
) -> None:
    file, server.known_keys = key_files(tmp_path / "keys.json", rsa("one"))
    world = World(*store, feed_of(server, client_id=CLIENT, key_file=file))
    server.resources = {"Patient/p1": PATIENT, "Location/l1": LOCATION}
    world.take(by_reference())
    await world.asker.ask()

    assert world.bookings() == ["a1 booked"]
    assert server.signed_by == ["one"], "one token for both questions"
    server.tokens.clear()
    world.take(
        by_reference() | {"id": "a3", "participant": [{"actor": {"reference": "Patient/p3"}, "status": "accepted"}]}
    )
    server.resources["Patient/p3"] = PATIENT | {"id": "p3"}
    await world.asker.ask()
    assert server.signed_by == ["one", "one"], "a token that was refused is had again"


async def test_a_token_is_not_used_to_its_last_second(server: FhirServer, tmp_path: Path) -> None:
    file, server.known_keys = key_files(tmp_path / "keys.json", ECKey.generate_key("P-384", {"kid": "ec"}))
    feed, moved = feed_of(server, client_id=CLIENT, key_file=file), [0.0]
    tokens = Tokens(lambda: moved[0])
    server.life = 100
    async with httpx.AsyncClient() as client:
        first = await tokens.header(client, feed)
        assert await tokens.header(client, feed) == first
        moved[0] = 60
        assert await tokens.header(client, feed) == first
        moved[0] = 71
        assert await tokens.header(client, feed) != first
    assert server.signed_by == ["ec", "ec"]


async def test_keys_are_changed_without_a_restart_and_without_a_gap(
    store: tuple[Database, Keyring], server: FhirServer, tmp_path: Path
) -> None:
    old, new = rsa("old"), rsa("new")
    file, server.known_keys = key_files(tmp_path / "keys.json", old)
    world = World(*store, feed_of(server, client_id=CLIENT, key_file=file))
    server.resources = {f"Patient/q{number}": PATIENT | {"id": f"q{number}"} for number in range(3)}

    async def ask_for(number: int) -> None:
        named = [{"actor": {"reference": f"Patient/q{number}"}, "status": "accepted"}]
        world.take(appointment(1) | {"id": f"k{number}", "participant": [*named, appointment(1)["participant"][1]]})
        world.asker._tokens.drop(world.feed)
        await world.asker.ask()

    await ask_for(0)
    key_files(tmp_path / "keys.json", new, old)  # the server does not know the new one yet
    await ask_for(1)
    server.known_keys = dict(KeySet([new]).as_dict(private=False))
    await ask_for(2)
    assert server.signed_by == ["old", "old", "new"]
    assert world.bookings() == ["k0 booked", "k1 booked", "k2 booked"]


async def test_a_key_that_the_server_does_not_know_is_on_record_and_nothing_is_lost(
    store: tuple[Database, Keyring], server: FhirServer, tmp_path: Path
) -> None:
    file, _ = key_files(tmp_path / "keys.json", rsa("ours"))
    _, server.known_keys = key_files(tmp_path / "others.json", rsa("ours"))
    world = World(*store, feed_of(server, client_id=CLIENT, key_file=file))
    world.take(appointment(1))
    await world.asker.ask()
    assert world.outcomes() == [("a Patient", "unauthorized")]
    assert world.kept() == ["unmapped"]
    (tmp_path / "keys.json").write_text("{}")
    world.now += timedelta(hours=1)
    await world.asker.ask()
    assert world.outcomes()[-1] == ("a Patient", "unauthorized")


async def test_events_are_asked_for_signed_in(
    store: tuple[Database, Keyring], server: FhirServer, tmp_path: Path
) -> None:
    file, server.known_keys = key_files(tmp_path / "keys.json", rsa("one"))
    world = World(*store, feed_of(server, client_id=CLIENT, key_file=file))
    server.events, server.resources = {2: encounter(1)}, {}
    world.take(r4b("event-notification", [1], 1, appointment(1), PATIENT))
    assert world.take(r4b("heartbeat", [], 2))[1] == [2]
    world.now += timedelta(seconds=11)
    await world.asker.ask()
    assert world.outcomes() == [("events 2 to 2", "answered")]
    assert server.asked == ["Subscription/s1/$events"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ('client_id = "x"', "client_id and key_file"),
        ('client_id = "x"\nkey_file = "k"\ntoken_file = "t"', "token_file"),
        ('token_url = "ftp://x"', "token_url"),
        ('time_zone = "Mars/Olympus"', "IANA"),
    ],
)
def test_a_feed_that_cannot_sign_in_is_refused_with_its_field(change: str, named: str) -> None:
    text = (DEPLOY / "hl7.example.toml").read_text().replace("[[fhir_feeds]]\n", f"[[fhir_feeds]]\n{change}\n")
    with pytest.raises(MappingError, match=named):
        parse_mapping(text)
