"""FHIR notifications of the patient of the kit, and a gateway that accepts them."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.access import digest
from app.api.actors import Actor
from intake.replay import reader_of
from intake.site_mapping import parse_mapping
from tests.kit.files import DEPLOY
from tests.kit.gateway import TOKEN, Gateway

FEED = "st-mary-fhir"


MRN_SYSTEM = "urn:oid:1.2.36.146.595.217.0.1"


Json = dict[str, Any]


PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:other", "value": "X"}, {"system": MRN_SYSTEM, "value": "MRN-CANARY-77"}],
}


def appointment(
    version: int, status: str = "booked", start: str = "2026-03-02T09:00:00-05:00", kind: str = "CARTAPH"
) -> Json:
    return {
        "resourceType": "Appointment",
        "id": "a1",
        "meta": {"versionId": str(version), "lastUpdated": f"2026-03-01T08:0{version}:00Z"},
        "status": status,
        "appointmentType": {"coding": [{"code": kind}]},
        "start": start,
        "basedOn": [{"identifier": {"system": "https://fhir.stmary.example/orders", "value": "ORD-1"}}],
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Location/l1", "display": "APH1"}, "status": "accepted"},
        ],
    }


def r4b(kind: str, numbers: list[int], since: int, *resources: Json) -> Json:
    status = {
        "resourceType": "SubscriptionStatus",
        "type": kind,
        "subscription": {"reference": "Subscription/s1"},
        "eventsSinceSubscriptionStart": str(since),
        "notificationEvent": [{"eventNumber": str(number)} for number in numbers],
    }
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": one} for one in (status, *resources)]}


def encounter(version: int, status: str = "in-progress", **more: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": "v1",
        "meta": {"versionId": str(version), "lastUpdated": f"2026-04-0{version}T08:00:00Z"},
        "status": status,
        "class": {"code": "IMP"},
        "subject": {"identifier": {"system": MRN_SYSTEM, "value": "MRN-CANARY-77"}},
        "period": {"start": "2026-03-31T06:30:00-04:00"},
        "location": [{"location": {"display": "8W"}}],
        **more,
    }


def r4(kind: str, numbers: list[int], since: int, *resources: Json) -> Json:
    """The same in the form of the R4 backport: the status is a Parameters resource."""
    parameters: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": "Subscription/s1"}},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(since)},
    ]
    parameters += [
        {"name": "notification-event", "part": [{"name": "event-number", "valueString": str(number)}]}
        for number in numbers
    ]
    status = {"resourceType": "Parameters", "parameter": parameters}
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": one} for one in (status, *resources)]}


def announced(payload: str) -> Json:
    """As the guide's examples: of ids only with the status alone or with entries without resource, or empty."""
    bundle = r4("event-notification", [2], 2)
    event = bundle["entry"][0]["resource"]["parameter"][-1]
    url = "https://fhir.stmary.example/r4/Appointment/a1"
    if payload != "empty":
        event["part"].append({"name": "focus", "valueReference": {"reference": url}})
    if payload == "id-only with entries":
        bundle["entry"].append({"fullUrl": url, "request": {"method": "POST", "url": "Appointment"}})
    if payload == "another resource":
        bundle["entry"].append({"fullUrl": "urn:uuid:1", "resource": PATIENT})
    return bundle


@pytest.fixture
def fhir(gateway: Gateway) -> Gateway:
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    parts = gateway.api.state.parts
    object.__setattr__(parts, "mapping", mapping)
    object.__setattr__(parts, "reader", reader_of(lambda: parts.mapping))
    parts.access.actors = {digest(TOKEN): Actor(FEED)}
    return gateway
