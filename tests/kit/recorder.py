"""A gateway without a socket on a real database, and the worker's activities without a worker.

`Recorder.decided(feed)` is the shortest way to an encounter: its events are posted, and everything the workflow would
have done is done once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI
from sqlmodel import select
from temporalio.client import Client

from activities.claim import ClaimActivities
from activities.decisions import DecisionService
from activities.encounter import EncounterActivities
from app.api.access import Access
from app.process.gateway import create_gateway
from intake.site_mapping import parse_mapping
from store.config import ConfigCache
from store.engine import Database
from store.keys import create_keyring, read_keyring
from store.tables import Encounter
from store.unit import Store
from tests.kit.databases import migrated_database
from tests.kit.feeds import ANCHOR, events_of
from tests.kit.files import HL7_FILE, SITE_FILE
from workflows.messages import ClaimQuestion, Question

TOKEN = "a-token-of-the-recording-long-enough"
NOW = datetime(2026, 6, 25, 16, 0, tzinfo=UTC)


class WorkerActivities(EncounterActivities):
    """The worker's activities without a worker."""

    def __init__(self, service: DecisionService, outbox: Path) -> None:
        super().__init__(service, cast(Client, None))
        self.claim_life = ClaimActivities(service, outbox)
        self.build_claim = self.claim_life.build_claim


class Recorder:
    """A gateway without a socket, and the worker's activities without a workflow."""

    def __init__(self, api: FastAPI, http: httpx.AsyncClient, service: DecisionService, outbox: Path) -> None:
        self.api, self.http, self.service = api, http, service
        self.activities = WorkerActivities(service, outbox)
        self.answers: dict[str, Any] = {}

    async def send(self, name: str | None, method: str, path: str, body: object = None) -> Any:
        """Call, and keep the answer under a name of the contract."""
        answer = await self.http.request(method, path, json=body)
        if name:
            self.answers[name] = answer.json()
        return answer.json()

    async def post(self, events: object, name: str | None = None) -> Any:
        return await self.send(name, "POST", "/v1/events", events)

    async def decided(self, events: list[dict[str, Any]], now: datetime = NOW) -> str:
        """Post the events of one patient and decide on them; returns the encounter."""
        receipts = (await self.post(events))["receipts"]
        encounter = next(str(one["encounter_id"]) for one in receipts if one["encounter_id"])
        self.decide(encounter, now)
        return encounter

    def decide(self, encounter: str, now: datetime) -> None:
        """What the workflow would have done: custody, alerts, reading side, claims."""
        with self.service.db.read() as session:
            upto = session.exec(select(Encounter).where(Encounter.encounter_id == encounter)).one().next_sequence - 1
        question = Question(encounter=encounter, up_to_sequence=upto, now=now)
        plan = self.activities.plan(question)
        self.activities.keep_custody(question)
        self.activities.raise_alerts(question)
        for intent in plan.claims:
            letter, ordinal = intent.letter, intent.ordinal
            self.activities.build_claim(
                ClaimQuestion(encounter=encounter, letter=letter, ordinal=ordinal, up_to_sequence=upto, now=now)
            )
        self.activities.show_encounter(question)


@asynccontextmanager
async def recorder(directory: Path, url: str | None = None, site: Path = SITE_FILE) -> AsyncIterator[Recorder]:
    """A recorder on a fresh database (SQLite: in the directory), or on the one that the URL names."""
    if url is None:
        db = migrated_database(directory / "encounters.db")
    else:
        db = Database(url)
        db.migrate()
    key_file = directory / "keys.json"
    keys = read_keyring(key_file) if key_file.exists() else create_keyring(key_file)
    (directory / "token").write_text(TOKEN, encoding="utf-8")
    service = DecisionService(Store(db, keys, ConfigCache("current", None, site)))
    mapping = parse_mapping(HL7_FILE.read_text(encoding="utf-8"))
    server = mapping.fhir_feeds[0]
    api = create_gateway(
        db=db,
        keys=keys,
        access=Access.from_token_file(directory / "token"),
        site=service.config.site(),
        rules=service.config.rules,
        clock=lambda: NOW,
        mapping=mapping.model_copy(update={"fhir_feeds": (server.model_copy(update={"name": "token"}),)}),
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as http:
        yield Recorder(api, http, service, directory / "outbox")
    db.close()


def feed(name: str, parts: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The events of a scenario, or of some of its parts."""
    return events_of(name, parts, ANCHOR)
