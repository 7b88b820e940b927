"""Another process holds the write lock of the SQLite file: every answer comes soon, and none says that something is stored."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlmodel import select

from app.api.access import Access, digest
from app.api.actors import Actor
from app.process.gateway import create_gateway
from app.process.serving import PATIENCE
from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import SEND_AGAIN, Hl7Receiver
from intake.site_mapping import parse_mapping
from store.engine import WHILE_HELD, Database
from store.keys import Keyring
from store.tables import Inbox, Quarantine
from tests.kit import events as e
from tests.kit.hl7_fixtures import DEPLOY
from tests.kit.mllp import Client, recorded
from tests.kit.sockets import listening

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
pytestmark = pytest.mark.sqlite("another process holds the lock of the whole file")
SHORT = 0.4
SOON = 5.0


@contextmanager
def holding(db: Database) -> Iterator[None]:
    """Another process in a write transaction, as a backup tool is; it ends with the block."""
    path = str(db.engine.url.database)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        assert holder.stdin is not None
        holder.stdin.close()


@pytest.fixture
def served(store: tuple[Database, Keyring]) -> Iterator[tuple[str, Database, Keyring]]:
    """A gateway on a socket, with the patience that a test has."""
    path, keys = str(store[0].engine.url.database), store[1]
    db = Database(f"sqlite:///{path}", patience=SHORT)
    api = create_gateway(
        db=db,
        keys=keys,
        access=Access({digest("t"): Actor("tests")}),
        clock=lambda: e.NOW,
        temporal_reachable=_reachable,
    )
    with listening(api) as url:
        yield url, db, keys
    db.close()


async def _reachable() -> bool:
    return True


def timed(call: Any) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = call()
    return answer, time.monotonic() - began


def test_no_sender_waits_longer_than_promised() -> None:
    assert PATIENCE + WHILE_HELD < SOON


def test_http_says_within_one_wait_that_nothing_is_stored(served: tuple[str, Database, Keyring]) -> None:
    url, db, _ = served
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}, timeout=30) as http:
        reference = http.post("/v1/events", json=e.referral()).json()["encounter_id"]
        assert http.get("/readyz").json() == {"ready": True, "database": True, "temporal": True}
        with holding(db):
            calls = [
                lambda: http.post("/v1/events", json=e.booking()),
                lambda: http.get("/v1/encounters"),
                lambda: http.get(f"/v1/encounters/{reference}"),
                lambda: http.post("/v1/events", json=[e.booking(f"b-{n}", "ORD-1", f"A-{n}") for n in range(5)]),
            ]
            for call in calls:
                answer, took = timed(call)
                assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
                assert took < SHORT + 1.0
            ready, took = timed(lambda: http.get("/readyz"))
            assert (ready.status_code, ready.json()["database"]) == (503, False)
            assert took < SOON
        assert http.get("/readyz").status_code == 200
        assert http.post("/v1/events", json=e.booking()).status_code == 202
    with db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 2


async def test_mllp_asks_for_the_message_again_and_names_it(store: tuple[Database, Keyring]) -> None:
    """Forty senders at once, more than are worked on together: each is answered within one wait and a little more."""
    path, keys = str(store[0].engine.url.database), store[1]
    db = Database(f"sqlite:///{path}", patience=1.5)
    door = Hl7Receiver(db, keys, parse_mapping((DEPLOY / "hl7.example.toml").read_text()), lambda: e.NOW, lambda: None)
    server = MllpServer(door, "127.0.0.1", 0)
    port = await server.start()
    clients = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(40)]
    messages = [recorded("story")[0].replace(b"|1001|", f"|held-{n}|".encode()) for n in range(40)]
    with holding(db):
        began = time.monotonic()
        answers = await asyncio.gather(*(c.send(m) for c, m in zip(clients, messages, strict=True)))
        took = time.monotonic() - began
    assert {answer.get("MSA-1") for answer in answers} == {"AR"}
    assert {answer.get("MSA-2") for answer in answers} == {f"held-{n}" for n in range(40)}
    assert {answer.get("MSA-3") for answer in answers} == {SEND_AGAIN}
    assert took < SOON
    with db.read() as session:
        assert session.exec(select(Inbox)).all() == session.exec(select(Quarantine)).all() == []
    again = await asyncio.gather(*(c.send(m) for c, m in zip(clients[:3], messages[:3], strict=True)))
    assert {answer.get("MSA-1") for answer in again} == {"AA"}
    for client in clients:
        await client.close()
    await server.stop()
    db.close()
