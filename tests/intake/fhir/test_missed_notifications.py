"""A gap in a subscription's notifications is alerted and asked for: over HTTP, of a server that answers `$events`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import select

from intake.fhir.missed_notifications import Asker
from intake.fhir.notification import read_notification
from intake.fhir.receiver import FhirReceiver
from intake.inbox.receive import receive
from intake.site_mapping import FhirFeed, SiteMapping, parse_mapping
from store.engine import Database
from store.feeds import last_seen
from store.keys import Keyring
from store.tables import AlertRecord, AuditEntry, FhirSubscription, Inbox
from tests.kit import events as e
from tests.kit.fhir import PATIENT, appointment, r4b
from tests.kit.files import DEPLOY
from tests.kit.sockets import listening


@dataclass
class Hospital:
    """A FHIR server that knows its events by number."""

    address: str = ""
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answer: int = 200


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    known, app = Hospital(), FastAPI()

    @app.get("/r4/Subscription/{name}/$events")
    def events(name: str, request: Request) -> Response:
        known.asked.append(f"{name} {request.url.query} {request.headers.get('authorization')}")
        first, last = (int(request.query_params[f"events{end}Number"]) for end in ("Since", "Until"))
        numbers = [number for number in known.events if first <= number <= last]
        bundle = r4b("query-event", numbers, max(known.events, default=0), *[known.events[n] for n in numbers], PATIENT)
        return JSONResponse(bundle, known.answer, media_type="application/fhir+json")

    with listening(app) as url:
        known.address = f"{url}/r4"
        yield known


class World:
    """The door and the asker on one store, with a clock to be moved."""

    def __init__(self, db: Database, keys: Keyring, feed: FhirFeed, mapping: SiteMapping) -> None:
        self.db, self.feed, self.now, self.woken = db, feed, e.NOW, 0
        mapping = mapping.model_copy(update={"fhir_feeds": (feed,)})
        self.door = FhirReceiver(db, keys, mapping)
        self.asker = Asker(db, keys, mapping, lambda: self.now, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def take(self, bundle: dict[str, Any]) -> list[int]:
        return self.door.take(self.feed, read_notification(bundle), self.now, None)[1]

    def alerts(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            return list(session.exec(select(AlertRecord.kind, AlertRecord.state)))

    def record(self) -> list[tuple[str, str]]:
        with self.db.read() as session:
            query = select(AuditEntry.target, AuditEntry.outcome).where(AuditEntry.action == "ask")
            return list(session.exec(query.order_by(AuditEntry.at)))


@pytest.fixture
def world(store: tuple[Database, Keyring], hospital: Hospital, tmp_path: Path) -> World:
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    (tmp_path / "token").write_text("secret\n")
    changes = {"ask_at": hospital.address + "/", "token_file": str(tmp_path / "token")}
    receive(*store, e.referral(), e.NOW, "t")
    return World(*store, mapping.fhir_feeds[0].model_copy(update=changes), mapping)


def notified(number: int, since: int, version: int) -> dict[str, Any]:
    return r4b(
        "event-notification", [number], since, appointment(version, start=f"2026-03-0{version}T09:00:00Z"), PATIENT
    )


async def test_a_gap_is_asked_for_and_closed_by_the_answer(world: World, hospital: Hospital) -> None:
    hospital.events = {2: appointment(2), 3: appointment(3)}
    assert world.take(notified(1, 1, 1)) == []
    assert world.take(notified(4, 4, 4)) == [2, 3]
    assert await world.asker.ask() == 0, "a number that is a second late needs no question"
    world.now += timedelta(seconds=11)
    assert await world.asker.ask() == 1
    assert hospital.asked == ["s1 eventsSinceNumber=2&eventsUntilNumber=3&content=full-resource Bearer secret"]
    assert world.alerts() == [("notification_gap", "resolved")]
    assert world.record() == [("events 2 to 3", "answered")]
    assert world.woken == 1
    with world.db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 1 + 1 + 2 + 2 + 2
    world.now += timedelta(hours=2)
    assert await world.asker.ask() == 0


async def test_a_server_that_does_not_answer_is_asked_again_less_and_less_often(
    world: World, hospital: Hospital
) -> None:
    world.take(notified(1, 1, 1))
    world.take(r4b("heartbeat", [], 2))
    hospital.answer = 500
    for _ in range(200):
        world.now += timedelta(seconds=10)
        await world.asker.ask()
    outcomes = [outcome for _, outcome in world.record()]
    assert set(outcomes) == {"refused 500"}
    assert 5 <= len(outcomes) <= 9
    assert world.alerts() == [("notification_gap", "open")]
    hospital.answer, hospital.events = 200, {2: appointment(2)}
    world.now += timedelta(hours=1)
    await world.asker.ask()
    assert world.record()[-1] == ("events 2 to 2", "answered")
    assert world.alerts() == [("notification_gap", "resolved")]


async def test_an_answer_without_the_number_leaves_the_gap_open(world: World, hospital: Hospital) -> None:
    world.take(notified(1, 1, 1))
    assert world.take(notified(3, 3, 3)) == [2]
    world.now += timedelta(seconds=11)
    assert await world.asker.ask() == 1
    assert world.alerts() == [("notification_gap", "open")]
    assert await world.asker.ask() == 0


@pytest.mark.parametrize("reference", ["https://elsewhere.example/other", "Subscription/../../admin", "urn:uuid:1"])
async def test_only_a_subscription_of_the_mapped_server_is_asked(
    world: World, hospital: Hospital, reference: str
) -> None:
    for number in (1, 3):
        bundle = notified(number, number, number)
        bundle["entry"][0]["resource"]["subscription"]["reference"] = reference
        world.take(bundle)
    world.now += timedelta(minutes=1)
    assert await world.asker.ask() == 0
    assert hospital.asked == []
    assert world.alerts() == [("notification_gap", "open")]


async def test_a_server_that_is_not_there_is_recorded(world: World) -> None:
    world.take(notified(1, 1, 1))
    world.take(notified(3, 3, 3))
    feed = world.feed.model_copy(update={"ask_at": "http://127.0.0.1:9/r4", "token_file": None})
    object.__setattr__(world.asker, "_mapping", world.asker._mapping.model_copy(update={"fhir_feeds": (feed,)}))
    world.now += timedelta(minutes=1)
    assert await world.asker.ask() == 1
    assert world.record() == [("events 2 to 2", "unreachable ConnectError")]


def test_a_heartbeat_is_noted(world: World) -> None:
    world.take(r4b("heartbeat", [], 0))
    with world.db.read() as session:
        assert last_seen(session)["st-mary-fhir"] == e.NOW
        assert session.exec(select(FhirSubscription.reference)).one() == "Subscription/s1"
