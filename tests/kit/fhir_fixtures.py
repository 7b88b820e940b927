"""The folders of tests/fixtures/fhir, and a gateway that they are sent to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import REGISTRY
from sqlmodel import select

from app.api.access import digest
from app.api.actors import Actor
from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.site_mapping import SiteMapping, parse_mapping
from store.facts import load_facts
from store.tables import Encounter, Quarantine
from tests.kit.files import DEPLOY
from tests.kit.gateway import TOKEN, Gateway

FIXTURES = Path(__file__).parents[1] / "fixtures" / "fhir"
CASES = sorted(path.parent for path in FIXTURES.glob("*/*/message"))
FEED = "st-mary-fhir"
FHIR = "application/fhir+json"
KEPT = ("appointments", "stays", "quarantine", "missing", "dispositions")


def mapping_with(addition: str) -> SiteMapping:
    """The packaged mapping with an addition: `unmapped`, or tables at its end, or keys of the FHIR feed after `@feed`."""
    text = (DEPLOY / "hl7.example.toml").read_text()
    for line in [one for one in addition.splitlines() if one.startswith("unmapped")]:
        text, addition = text.replace('unmapped = "quarantine"', line), addition.replace(line, "")
    if addition.startswith("@feed "):
        return parse_mapping(text.replace("[[fhir_feeds]]\n", f"[[fhir_feeds]]\n{addition[6:]}\n", 1))
    if addition.startswith("@classes "):
        return parse_mapping(text.replace("[patient_classes] ", f"[patient_classes]\n{addition[9:]}\n#", 1))
    return parse_mapping(f"{text}\n{addition}")


def departures() -> dict[str, float]:
    found = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    named = (one for one in found if one.name == "cart_feed_departures_total" and one.labels["format"] == "fhir")
    return {one.labels["kind"]: one.value for one in named}


def around(gateway: Gateway) -> dict[str, Any]:
    """What is in the store."""
    appointments, stays = [], []
    with gateway.db.read() as session:
        encounters = session.exec(select(Encounter.encounter_id)).all()
        quarantine = sorted(row.state for row in session.exec(select(Quarantine)))
    for encounter in encounters:
        record = Record(fold(load_facts(gateway.db, gateway.keys, encounter, 10_000)[0]))
        appointments += [f"{a.id} {a.stage.value} {a.status} {a.starts_at.isoformat()}" for a in record.appointments]
        for stay in record.stays:
            kind = "inpatient" if stay.inpatient else "outpatient"
            end = f" to {stay.ended_at.isoformat()} status {stay.discharge_status}" if stay.ended_at else ""
            stays.append(f"{stay.id} {kind} from {stay.started_at.isoformat()}{end}")
    return {"appointments": sorted(appointments), "stays": sorted(stays), "quarantine": quarantine}


async def send(gateway: Gateway, request: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    method, path = request.split()
    kind = {"Content-Type": FHIR, "Accept": "application/json"}
    return await gateway.http.request(method, path, content=body or None, headers=kind | headers)


def admit(gateway: Gateway, mapping: SiteMapping) -> None:
    parts = gateway.api.state.parts
    object.__setattr__(parts, "mapping", mapping)
    parts.access.actors = {digest(TOKEN): Actor(FEED)}


async def outcome_of(gateway: Gateway, case: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """What sending the folder did."""
    addition = case / "mapping.toml"
    admit(gateway, mapping_with(addition.read_text() if addition.exists() else ""))
    for before in sorted(case.glob("before-*")):
        answer = await send(gateway, "POST /v1/fhir", before.read_bytes(), {})
        assert answer.status_code == 200, answer.text
    counted = departures()
    request, headers = expected.get("request", "POST /v1/fhir"), expected.get("headers", {})
    answer = await send(gateway, request, (case / "message").read_bytes(), headers)
    assert answer.status_code == 200, answer.text
    body = json.loads(answer.content)
    found = around(gateway)
    found["dispositions"] = [one["disposition"] for one in body["receipts"]]
    found["missing"] = body["missing"]
    found["departures"] = sorted(kind for kind, value in departures().items() if value > counted.get(kind, 0.0))
    found["reasons"] = [reason for one in body["receipts"] for reason in one["reasons"]]
    return found
