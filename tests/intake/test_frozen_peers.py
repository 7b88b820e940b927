"""Frozen and black-holed peers of gateways on PostgreSQL: every sender gets an answer in time, nothing is lost or doubled.

Gateways are real processes; the frozen one holds the lock of the inbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from sqlmodel import select

from app.api.access import Access, digest
from app.api.actors import Actor
from app.metrics import free_port
from app.process.gateway import create_gateway
from app.process.installation import install
from app.settings import GATEWAY, Settings
from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import SEND_AGAIN, Hl7Receiver
from intake.site_mapping import parse_mapping
from store.engine import Database
from store.keys import create_keyring
from store.tables import EncounterEvent, Inbox
from tests.kit import events as e
from tests.kit.hl7_fixtures import DEPLOY
from tests.kit.mllp import Client, recorded
from tests.kit.peers import Proxy, frozen
from tests.kit.postgres import postgres_url
from tests.kit.sockets import listening
from tests.kit.waiting import eventually

pytestmark = pytest.mark.postgres

SOON = 5.0
"""Callers wait four seconds, and a little for the answer."""
READY_SOON = 3.0


def database(server: str) -> str:
    url = postgres_url(server, f"frozen_{time.monotonic_ns()}", create=True, template="cart_template")
    return url


@contextlib.contextmanager
def gateway_process(home: Path, url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gateway of its own process, without a Temporal server."""
    port = free_port()
    environment = {
        "CART_DATA_DIR": str(home),
        "CART_DATABASE_URL": url,
        "CART_HTTP_PORT": str(port),
        "CART_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    with (home / f"gateway-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "gateway"], stderr=log, env={**os.environ, **environment}
        )
        address = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: started(process, address), "the gateway has started while Temporal is away", 60)
            yield process, address
        finally:
            process.kill()
            process.wait()


def started(process: subprocess.Popen[bytes], address: str) -> bool:
    assert process.poll() is None
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address + "/startupz").status_code == 200
    return False


class Sender(threading.Thread):
    """Sends its events one after another, each until it is accepted."""

    def __init__(self, address: str, token: str, name: str, events: int) -> None:
        super().__init__(daemon=True)
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self._name, self._events = name, events
        self.refused: list[int] = []

    def run(self) -> None:
        for number in range(self._events):
            event = e.booking(f"{self._name}-{number}", f"ORD-{self._name}", f"A-{self._name}-{number}")
            while (status := self._http.post("/v1/events", json=event).status_code) != 202:
                self.refused.append(status)
                time.sleep(0.2)


def holds_the_inbox(server: str) -> bool:
    with psycopg.connect(server, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
            "AND state = 'idle in transaction'"
        ).fetchone()
    return found is not None


@contextlib.contextmanager
def frozen_holding(process: subprocess.Popen[bytes], server: str) -> Iterator[None]:
    """The process stopped at a moment when its transaction has the inbox's lock."""
    for _ in range(200):
        with frozen(process.pid):
            time.sleep(0.02)  # what its server process does of the last statement ends
            if holds_the_inbox(server):
                yield
                return
        time.sleep(0.003)
    raise AssertionError("never stopped in mid-transaction")


def test_a_gateway_frozen_in_mid_transaction_stops_the_other_for_seconds_only(
    postgres_template: str, tmp_path: Path
) -> None:
    install(Settings(data_dir=tmp_path))
    token, url = (tmp_path / "token").read_text().strip(), database(postgres_template)
    with gateway_process(tmp_path, url) as (first, its_address), gateway_process(tmp_path, url) as (_, address):
        senders = [Sender(its_address, token, f"s{number}", 25) for number in range(4)]
        for sender in senders:
            sender.start()
        with (
            frozen_holding(first, postgres_template),
            httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
        ):
            began, answers = time.monotonic(), []
            while not answers or answers[-1][0] != 202:
                asked = time.monotonic()
                answer = http.post("/v1/events", json=e.booking("other", "ORD-other", "A-other"))
                answers.append((answer.status_code, time.monotonic() - asked))
                assert time.monotonic() - began < 15, answers
            assert {status for status, _ in answers} <= {202, 503}
            assert max(took for _, took in answers) < SOON
            assert time.monotonic() - began < GATEWAY.idle + SOON
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive()
            assert set(sender.refused) <= {503}
        assert sum(len(sender.refused) for sender in senders) >= 1, "the caller of the ended transaction sent again"
        assert httpx.get(its_address + "/livez").json() == {"live": True, "stuck": []}
        assert httpx.get(its_address + "/readyz").json() == {"ready": True, "database": True, "temporal": False}
    db = Database(url)
    with db.read() as session:
        assert len(session.exec(select(Inbox.event_id)).all()) == 101
        assert len(session.exec(select(EncounterEvent.event_id)).all()) == 101
    db.close()


async def test_a_database_that_swallows_everything_is_503_and_ar_in_time(
    postgres_template: str, tmp_path: Path
) -> None:
    parts = urlsplit(database(postgres_template).replace("postgresql+psycopg://", "postgresql://", 1))
    directory = parse_qs(parts.query)["host"][0]
    proxy = Proxy(next(str(one) for one in Path(directory).glob(".s.PGSQL.*") if not one.name.endswith(".lock")))
    url = f"postgresql+psycopg://{parts.username}@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
    keys, db = create_keyring(tmp_path / "keys.json"), Database(url, limits=GATEWAY)
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    mllp = MllpServer(Hl7Receiver(db, keys, mapping, lambda: e.NOW, lambda: None), "127.0.0.1", 0)
    port = await mllp.start()
    api = create_gateway(db=db, keys=keys, access=Access({digest("t"): Actor("tests")}), clock=lambda: e.NOW)
    with listening(api) as address:
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": "Bearer t"}, timeout=60) as http:
            assert (await http.post("/v1/events", json=e.referral())).status_code == 202
            proxy.turn("silent")
            began = time.monotonic()
            posts = [http.post("/v1/events", json=e.booking(f"b-{n}", "ORD-1", f"A-{n}")) for n in range(20)]
            posts.append(http.get("/v1/encounters"))
            answers = await asyncio.gather(*posts)
            assert time.monotonic() - began < SOON + 2.0
            assert {(one.status_code, "retry-after" in one.headers) for one in answers} == {(503, True)}
            began = time.monotonic()
            assert (await http.get("/readyz")).status_code == 503
            assert time.monotonic() - began < READY_SOON
            assert (await http.get("/livez")).status_code == 200
            sender = Client(*await asyncio.open_connection("127.0.0.1", port))
            began = time.monotonic()
            answer = await sender.send(recorded("story")[0])
            assert (answer.get("MSA-1"), answer.get("MSA-3")) == ("AR", SEND_AGAIN)
            assert time.monotonic() - began < SOON
            proxy.turn("open")
            statuses: list[int] = []
            while not statuses or statuses[-1] != 202:
                statuses.append((await http.post("/v1/events", json=e.booking())).status_code)
                assert len(statuses) < 50
            assert (await sender.send(recorded("story")[0])).get("MSA-1") == "AA"
            await sender.close()
    await mllp.stop()
    db.close()
    proxy.close()
