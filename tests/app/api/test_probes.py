"""The probes: started, live and ready mean different things, and each fails for its own reasons only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.access import Access, digest
from app.api.actors import Actor
from app.liveness import Liveness, turn
from app.process.gateway import create_gateway
from intake.delivery import Deliverer
from store.engine import Database
from store.keys import Keyring, create_keyring
from tests.kit import events as e
from tests.kit.databases import as_owner
from tests.kit.gateway import Gateway
from tests.kit.sockets import listening
from tests.kit.waiting import eventually, eventually_async


def made(db: Database, keys: Keyring, **parts: Any) -> FastAPI:
    return create_gateway(db=db, keys=keys, access=Access({digest("t"): Actor("tests")}), clock=lambda: e.NOW, **parts)


async def away() -> bool:
    return False


def get(url: str, path: str) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(url + path)
    return answer.status_code, answer.json()


LIVE = (200, {"live": True, "stuck": []})
STARTED = (200, {"started": True, "database": True, "schema_current": True, "keys": True})


def test_a_gateway_starts_and_is_ready_while_temporal_is_away(store: tuple[Database, Keyring]) -> None:
    with listening(made(*store, temporal_reachable=away)) as url:
        assert get(url, "/startupz") == STARTED
        assert get(url, "/livez") == LIVE
        assert get(url, "/readyz") == (200, {"ready": True, "database": True, "temporal": False})


async def test_without_the_database_it_is_live_and_not_ready(gateway: Gateway) -> None:
    with as_owner(gateway.db) as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO away")
        connection.exec_driver_sql("ALTER TABLE alembic_version RENAME TO gone")
    assert (await gateway.get("/livez")).json() == LIVE[1]
    assert (await gateway.get("/readyz")).status_code == 503
    answer = await gateway.get("/startupz")
    assert (answer.status_code, answer.json()["schema_current"]) == (503, False)


async def test_an_older_schema_is_not_started_and_a_newer_one_is(gateway: Gateway) -> None:
    for revision, status in (("0001", 503), ("9999", 200)):
        with gateway.db.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
        assert (await gateway.get("/startupz")).status_code == status


async def test_a_foreign_key_file_is_not_started(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.opened()
    assert (await gateway.get("/startupz")).json() == STARTED[1]
    foreign = made(gateway.db, create_keyring(tmp_path / "foreign.json"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(foreign), base_url="http://gateway") as http:
        answer = await http.get("/startupz")
    assert (answer.status_code, answer.json()["keys"]) == (503, False)


def test_a_delivery_loop_that_ended_is_not_live(store: tuple[Database, Keyring]) -> None:
    class Ending(Deliverer):
        async def run(self) -> None:
            raise RuntimeError

    async def nothing(*_: object) -> None:
        return

    with listening(made(*store, deliverer=Ending(store[0], nothing))) as url:
        eventually(lambda: get(url, "/livez") == (503, {"live": False, "stuck": ["delivery"]}), "not live", 10)
        assert get(url, "/healthz") == (200, {"status": "ok"})


async def test_a_pool_that_takes_no_work_is_stuck_until_it_does() -> None:
    liveness, free = Liveness(), asyncio.Event()
    liveness.watch_work("pool", free.wait, 0.2)
    liveness.watch_work("loop", turn, 30)
    await eventually_async(lambda: liveness.stuck() == ["pool"], "stuck", 10)
    free.set()
    await eventually_async(lambda: liveness.stuck() == [], "it moves again", 10)
    await liveness.stop()


def test_a_loop_that_turned_long_ago_is_stuck() -> None:
    liveness = Liveness()
    liveness.watch("delivery_loop", lambda: time.monotonic() - 10, 9)
    liveness.watch("other", time.monotonic, 9)
    assert liveness.stuck() == ["delivery_loop"]


@pytest.mark.parametrize("path", ["/livez", "/startupz", "/readyz", "/healthz"])
async def test_probes_need_no_token(gateway: Gateway, path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as stranger:
        assert (await stranger.get(path)).status_code == 200
