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


@pytest.fixture
def fhir(gateway: Gateway) -> Gateway:
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    parts = gateway.api.state.parts
    object.__setattr__(parts, "mapping", mapping)
    object.__setattr__(parts, "reader", reader_of(lambda: parts.mapping))
    parts.access.actors = {digest(TOKEN): Actor(FEED)}
    return gateway
