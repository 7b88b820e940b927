"""Answers as a gateway really gives them, recorded on a real database with scenario (d) held and scenario (a) whole.

`python -m tests.contract.recording` writes them as the examples of `docs/contract/answers/`; ids and hashes are new each time.
"""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI
from pydantic import AnyHttpUrl
from sqlmodel import select
from temporalio.client import Client

from activities.alerting.deliver import deliver
from activities.alerting.destinations import Destination, Destinations
from activities.alerting.escalate import work
from activities.claim import ClaimActivities
from activities.decisions import DecisionService
from activities.encounter import EncounterActivities
from app.api.access import Access
from app.process.gateway import create_gateway
from app.tools import contract
from app.tools.scenario_expectations import SCENARIOS
from domain.events.care import InfusionStarted
from intake.scenario_feeds import expand, load_feed
from intake.site_mapping import parse_mapping
from store.config import ConfigCache
from store.engine import Database
from store.keys import create_keyring
from store.tables import Encounter
from store.unit import Store
from workflows.messages import ClaimQuestion, Question

ANSWERS = contract.ROOT / "answers"
SITE = Path(__file__).resolve().parents[2] / "deploy" / "site.example.toml"
HL7 = SITE.with_name("hl7.example.toml")
TOKEN = "a-token-of-the-recording-long-enough"
ANCHOR = date(2026, 6, 10)
NOW = datetime(2026, 6, 25, 16, 0, tzinfo=UTC)


NOTIFICATION: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "history",
    "entry": [
        {
            "resource": {
                "resourceType": "SubscriptionStatus",
                "type": "event-notification",
                "subscription": {"reference": "Subscription/car-t"},
                "eventsSinceSubscriptionStart": "1",
                "notificationEvent": [{"eventNumber": "1"}],
            }
        },
        {
            "resource": {
                "resourceType": "Appointment",
                "id": "appointment-100",
                "meta": {"versionId": "1", "lastUpdated": "2026-06-20T14:00:00Z"},
                "status": "booked",
                "appointmentType": {"coding": [{"code": "CARTFU"}]},
                "start": "2026-07-08T10:00:00-04:00",
                "participant": [
                    {
                        "actor": {
                            "type": "Patient",
                            "identifier": {"system": "urn:oid:1.2.36.146.595.217.0.1", "value": "MRN-FHIR-EXAMPLE"},
                        }
                    },
                    {"actor": {"type": "Location", "display": "INFC"}},
                ],
            }
        },
    ],
}
"""A notification as a FHIR server sends it: one follow-up appointment, the first event of its subscription."""


class WorkerActivities(EncounterActivities):
    """The worker's activities without a worker."""

    def __init__(self, service: DecisionService, outbox: Path) -> None:
        super().__init__(service, cast(Client, None))
        self.claim_life = ClaimActivities(service, outbox)
        self.build_claim = self.claim_life.build_claim


class Recorder:
    """A gateway without a socket, and the worker's hands without a workflow."""

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

    def decide(self, encounter: str, now: datetime) -> None:
        """What the workflow would have done: custody, alerts, reading side, claims."""
        with self.service.db.read() as session:
            upto = session.exec(select(Encounter).where(Encounter.encounter_id == encounter)).one().next_sequence - 1
        question = Question(encounter=encounter, up_to_sequence=upto, now=now)
        plan = self.activities.decide(question)
        self.activities.keep_custody(question)
        self.activities.raise_alerts(question)
        for intent in plan.claims:
            letter, ordinal = intent.letter, intent.ordinal
            self.activities.build_claim(
                ClaimQuestion(encounter=encounter, letter=letter, ordinal=ordinal, up_to_sequence=upto, now=now)
            )
        self.activities.show_encounter(question)


def live_site(directory: Path) -> Path:
    """The example site with every payer live: claims are billed from here, so payers must answer."""
    site = directory / "live-site.toml"
    site.write_text(SITE.read_text(encoding="utf-8").replace('mode = "shadow"', 'mode = "live"'), encoding="utf-8")
    return site


@asynccontextmanager
async def recorder(directory: Path, url: str | None = None, site: Path = SITE) -> AsyncIterator[Recorder]:
    """A recorder on a fresh database: SQLite in the directory, or the one that the URL names."""
    db = Database(url or f"sqlite:///{directory / 'encounters.db'}")
    db.migrate()
    keys = create_keyring(directory / "keys.json")
    (directory / "token").write_text(TOKEN, encoding="utf-8")
    service = DecisionService(Store(db, keys, ConfigCache("current", None, site)))
    mapping = parse_mapping(HL7.read_text(encoding="utf-8"))
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
    return expand(load_feed(SCENARIOS / f"{name}.json"), ANCHOR, parts=None if parts is None else set(parts))


async def record(directory: Path) -> Mapping[str, Any]:
    """Every answer of the contract, by its name."""
    async with recorder(directory) as r:
        await _refusals(r, feed("d_missing_tecartus_certificate", {"first"}))
        await _held(r)
        await _whole(r)
        await r.send("fhir", "POST", "/v1/fhir", NOTIFICATION)
        await r.send("audit", "GET", "/v1/audit?limit=3")
        await r.send("health", "GET", "/healthz")
        await r.send("readiness", "GET", "/readyz")
        return r.answers


async def _refusals(r: Recorder, events: list[dict[str, Any]]) -> None:
    first, rest = events[0], events[1:]
    await r.post(first, "receipt")
    changed, broken = copy.deepcopy(first), copy.deepcopy(rest[0])
    changed["data"]["weight_kg"] = 71
    del broken["data"]["number"]
    await r.post(changed, "conflict")
    await r.post(broken, "invalid")
    infused = next(e for e in feed("a_mcl_medicare_inpatient") if e["type"] == InfusionStarted.event_type)
    stray = infused | {"id": "stray", "subject": "ORD-UNHEARD-OF"}
    await r.post([*rest, first, broken, stray], "receipts")
    entry = (await r.http.get("/v1/quarantine?state=invalid")).json()["entries"][0]["quarantine_id"]
    r.answers["closing"] = {"by": "coordinator", "because": "corrected", "note": "sent anew with its number"}
    await r.send("quarantine_entry", "POST", f"/v1/quarantine/{entry}/close", r.answers["closing"])
    await r.send("quarantine", "GET", "/v1/quarantine")
    await r.send("problem", "GET", "/v1/encounters/ORD-UNHEARD-OF")
    await r.send("preflight", "POST", "/v1/preflight", first["data"])


async def _held(r: Recorder) -> None:
    encounter = r.answers["receipt"]["encounter_id"]
    r.decide(encounter, datetime(2026, 5, 1, 16, tzinfo=UTC))
    for name, path in (("encounter", ""), ("holds", "/holds"), ("alerts", "/alerts")):
        await r.send(name, "GET", f"/v1/encounters/{encounter}{path}")
    await r.send("encounters", "GET", "/v1/encounters")
    r.answers["acknowledgement"] = {"by": "coordinator", "note": "certificates asked for at the manufacturer"}
    alert = r.answers["alerts"]["alerts"][0]["alert_id"]
    await r.send("alert", "POST", f"/v1/alerts/{alert}/acknowledge", r.answers["acknowledgement"])
    await r.send("causes", "GET", "/v1/alerts/causes")
    await _told(r)


async def _told(r: Recorder) -> None:
    """The desk tells an address where nobody answers."""
    nobody = Destination(name="paging", kind="webhook", url=AnyHttpUrl("http://127.0.0.1:9/"), secret=bytes(24))
    nowhere = Destinations(destinations=(nobody,))
    with r.service.db.write() as session:
        work(session, nowhere, NOW, timedelta(hours=4))
    await asyncio.to_thread(deliver, r.service.db, nowhere, NOW)
    await r.send("deliveries", "GET", "/v1/alerts/deliveries?state=waiting")
    await r.send(
        "delivery", "POST", f"/v1/alerts/deliveries/{r.answers['deliveries']['deliveries'][0]['delivery_id']}/retry"
    )


async def _whole(r: Recorder) -> None:
    receipts = await r.post(feed("a_mcl_medicare_inpatient"))
    encounter = receipts["receipts"][0]["encounter_id"]
    r.decide(encounter, NOW)
    await r.send("timeline", "GET", f"/v1/encounters/{encounter}/timeline")
    await r.send("claims", "GET", f"/v1/encounters/{encounter}/claims")
    await r.send("claim", "GET", f"/v1/encounters/{encounter}/claims/C")
    await r.send("packet", "GET", f"/v1/encounters/{encounter}/packet?identity=withheld")
    await r.send("explain", "GET", f"/v1/encounters/{encounter}/explain")
    await r.send("worklist", "GET", "/v1/worklists/unbilled")
    accepted = (Path(__file__).resolve().parents[1] / "samples" / "accepted.277ca.x12").read_text(encoding="ascii")
    number = r.answers["claim"]["control_number"]
    r.answers["replies"] = (await r.http.post("/v1/replies", content=accepted.replace("@CLAIM@", number))).json()


def main() -> None:
    """Write the examples."""
    with tempfile.TemporaryDirectory() as directory:
        for name, body in asyncio.run(record(Path(directory))).items():
            text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
            (ANSWERS / f"{name}.example.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
