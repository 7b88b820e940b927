"""A gateway over a real database, driven over HTTP without a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.access import Access, digest
from app.api.actors import Actor
from app.process.gateway import create_gateway
from domain.rulebook import Rulebook
from store.engine import Database
from store.keys import Keyring
from tests.kit import events as e
from tests.kit.site import site

TOKEN = "a-token-of-the-tests"


@dataclass
class Gateway:
    """A client with the token, and the parts behind it."""

    api: FastAPI
    http: httpx.AsyncClient
    db: Database
    keys: Keyring

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        kind = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post("/v1/events", content=content, headers=kind)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def opened(self) -> str:
        """Post a referral; returns the encounter's id."""
        answer = await self.post(e.referral())
        return str(answer.json()["encounter_id"])


@pytest.fixture
async def gateway(store: tuple[Database, Keyring], rules: Rulebook) -> AsyncIterator[Gateway]:
    db, keys = store
    api = create_gateway(
        db=db,
        keys=keys,
        access=Access({digest(TOKEN): Actor("tests")}),
        site=site(),
        rules=lambda: rules,
        clock=lambda: e.NOW,
    )
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as http:
        yield Gateway(api, http, db, keys)


PROBLEM = "application/problem+json"
