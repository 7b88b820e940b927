"""Answers as a gateway really gives them, recorded on a real database with scenario (d) held and scenario (a) whole.

`python -m tests.contract.recording` writes them as the examples of `docs/contract/answers/`; ids and hashes are new each time.
"""

from __future__ import annotations

import asyncio
import copy
import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import AnyHttpUrl

from activities.alerting.deliver import deliver
from activities.alerting.destinations import Destination, Destinations
from activities.alerting.escalate import work
from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import Role
from app.tools import contract
from domain.events.care import InfusionStarted
from tests.kit.files import SAMPLES
from tests.kit.recorder import NOW, Recorder, feed, recorder

ANSWERS = contract.ROOT / "answers"


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


async def record(directory: Path) -> Mapping[str, Any]:
    """Every answer of the contract, by its name."""
    async with recorder(directory) as r:
        await _refusals(r, feed("d_missing_tecartus_certificate", {"first"}))
        await _held(r)
        await _whole(r)
        await r.send("fhir", "POST", "/v1/fhir", NOTIFICATION)
        await r.send("audit", "GET", "/v1/audit?limit=3")
        await r.send("health", "GET", "/healthz")
        await r.send("liveness", "GET", "/livez")
        await r.send("startup", "GET", "/startupz")
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
    r.answers["closing"] = {"by": "coordinator", "because": "corrected", "note": "sent again with its number"}
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
    await _in_an_emergency(r, encounter)
    await _undelivered(r)


async def _in_an_emergency(r: Recorder, encounter: str) -> None:
    """A physician on call opens the encounter; another person reviews it."""
    r.api.state.parts.access.actors[digest("on-call")] = Actor("physician on call", frozenset({Role.EMERGENCY}))
    r.answers["emergency_reason"] = {
        "reason": "grade 4 CRS in the emergency department; the coordinator is not reached"
    }
    opened = await r.http.post(
        f"/v1/encounters/{encounter}/emergency-access",
        json=r.answers["emergency_reason"],
        headers={"Authorization": "Bearer on-call"},
    )
    r.answers["emergency_opened"] = opened.json()
    await r.send("emergency_access", "GET", "/v1/emergency-access")
    path = f"/v1/emergency-access/{opened.json()['access_id']}/review"
    await r.send("emergency_entry", "POST", path)


async def _undelivered(r: Recorder) -> None:
    """Deliver to an address where no server answers."""
    unreachable = Destination(name="paging", kind="webhook", url=AnyHttpUrl("http://127.0.0.1:9/"), secret=bytes(24))
    nowhere = Destinations(destinations=(unreachable,))
    with r.service.db.write() as session:
        work(session, nowhere, NOW, timedelta(hours=4))
    await asyncio.to_thread(deliver, r.service.db, nowhere, NOW)
    await r.send("deliveries", "GET", "/v1/alerts/deliveries?state=waiting")
    await r.send(
        "delivery", "POST", f"/v1/alerts/deliveries/{r.answers['deliveries']['deliveries'][0]['delivery_id']}/retry"
    )


async def _whole(r: Recorder) -> None:
    encounter = await r.decided(feed("a_mcl_medicare_inpatient"))
    await r.send("timeline", "GET", f"/v1/encounters/{encounter}/timeline")
    await r.send("claims", "GET", f"/v1/encounters/{encounter}/claims")
    await r.send("claim", "GET", f"/v1/encounters/{encounter}/claims/C")
    await r.send("packet", "GET", f"/v1/encounters/{encounter}/packet?identity=withheld")
    await r.send("explain", "GET", f"/v1/encounters/{encounter}/explain")
    await r.send("worklist", "GET", "/v1/worklists/unbilled")
    accepted = (SAMPLES / "accepted.277ca.x12").read_text(encoding="ascii")
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
