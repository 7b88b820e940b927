"""A board over a real database with encounters decided by the real rules, driven over HTTP without a socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import Role
from store.engine import Database
from store.facts import open_body
from store.tables import AuditEntry, Inbox
from tests.kit.recorder import NOW, TOKEN, Recorder, feed, recorder

ROLES = {role.value: Actor(f"the {role.value}", frozenset({role})) for role in Role}
ELSEWHERE = Actor("another facility", frozenset({Role.ADMIN}), frozenset({"st_mary_exempt"}))


def identifiers(events: list[dict[str, Any]]) -> set[str]:
    """Everything of a feed that names its patient or its order."""
    found: set[str] = set()
    for event in events:
        patient = event["data"].get("patient")
        if patient:
            found |= {patient["mrn"], patient["name"]["family"], patient["birth_date"], patient["address"]["line"]}
            found.add(event["data"]["coverage"]["member_id"])
        found.add(event["subject"])
    return found


@dataclass
class Board:
    """A browser without JavaScript, and the parts behind the pages."""

    recorder: Recorder
    http: httpx.AsyncClient
    whole: str
    held: str
    secret: set[str]

    @property
    def db(self) -> Database:
        return self.recorder.service.db

    async def sign_in(self, token: str = TOKEN) -> httpx.Response:
        self.http.cookies.clear()
        return await self.http.post("/sign-in", data={"token": token})

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)

    async def csrf(self, path: str = "/forms") -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get(path)).text)
        assert found
        return found.group(1)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """Fill in the form behind a path as a browser would, with its hidden fields."""
        return await self.http.post(path, data={"csrf": await self.csrf(), **fields})

    async def enter(self, path: str, fields: Mapping[str, str], kind: str = "") -> httpx.Response:
        """Open a form, fill it in, send it."""
        page = (await self.get(path + (f"?kind={kind}" if kind else ""))).text
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        given = {
            name if name in ("who", "why", "zone", "order") else f"data.{name}": text for name, text in fields.items()
        }
        return await self.http.post(path, data={**hidden, "who": "A. Nurse", "why": "telephone call", **given})

    def decide(self, encounter: str, now: datetime = NOW) -> None:
        self.recorder.decide(encounter, now)

    def last_event(self) -> dict[str, Any]:
        with self.db.read() as session:
            row = session.exec(select(Inbox).where(Inbox.feed.startswith("board:"))).all()[-1]  # type: ignore[attr-defined]
            return open_body(self.recorder.service.keys, row)

    def event(self, event_id: str) -> dict[str, Any]:
        with self.db.read() as session:
            return open_body(self.recorder.service.keys, session.get_one(Inbox, event_id))

    def events(self) -> int:
        with self.db.read() as session:
            return len(session.exec(select(Inbox.event_id)).all())

    def audit(self) -> list[tuple[str, str, str]]:
        with self.db.read() as session:
            rows = session.exec(select(AuditEntry)).all()
        return [(row.actor, row.action, row.target) for row in rows]


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[tuple[Recorder, str, str, set[str]]]:
    """A gateway with one whole encounter and one that is held before its collection."""
    async with recorder(directory) as r:
        found, secret = [], set()
        for name, parts in (("a_mcl_medicare_inpatient", None), ("d_missing_tecartus_certificate", {"first"})):
            events = feed(name, parts)
            found.append(await r.decided(events))
            secret |= identifiers(events)
        r.api.state.parts.access.actors = {
            digest(TOKEN): Actor("token"),
            **{digest(f"token-of-{name}"): actor for name, actor in ROLES.items()},
            digest("token-of-elsewhere"): ELSEWHERE,
        }
        yield r, found[0], found[1], secret


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Recorder, str, str, set[str]]]:
    async with opened(tmp_path_factory.mktemp("board")) as made:
        yield made


@pytest.fixture
async def board(world: tuple[Recorder, str, str, set[str]]) -> AsyncIterator[Board]:
    r, whole, held, secret = world
    r.api.state.parts.access._buckets.clear()
    transport = httpx.ASGITransport(r.api, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        made = Board(r, http, whole, held, secret)
        await made.sign_in()
        yield made
