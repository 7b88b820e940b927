"""FHIR R4 notifications: handshake, heartbeat, events, gaps, codes; the same story as the events it stands for."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlmodel import select

from app.api.access import digest
from app.api.actors import Actor
from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.inbox.receive import receive
from store.facts import load_facts
from store.tables import AlertRecord, Encounter, Inbox, Quarantine
from tests.kit import events as e
from tests.kit.databases import refusing
from tests.kit.fhir import FEED, MRN_SYSTEM, PATIENT, Json, announced, appointment, encounter, r4, r4b
from tests.kit.gateway import TOKEN, Gateway


async def send(gateway: Gateway, body: Any, status: int = 200) -> Json:
    answer = await gateway.http.post("/v1/fhir", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def dispositions(answer: Json) -> list[str]:
    return [receipt["disposition"] for receipt in answer["receipts"]]


def record(gateway: Gateway) -> Record:
    with gateway.db.read() as session:
        encounter_id = session.exec(select(Encounter.encounter_id)).one()
    return Record(fold(load_facts(gateway.db, gateway.keys, encounter_id, 10_000)[0]))


@pytest.mark.parametrize("form", [r4, r4b])
async def test_handshake_heartbeat_and_events_are_counted_and_a_gap_is_named_until_it_is_filled(
    fhir: Gateway, form: Any
) -> None:
    assert (await send(fhir, form("handshake", [], 0)))["missing"] == []
    first = await send(fhir, form("event-notification", [1], 1, appointment(1), PATIENT))
    assert (dispositions(first), first["missing"]) == (["accepted"], [])
    gap = await send(
        fhir, form("event-notification", [4], 4, appointment(2, start="2026-03-03T09:00:00-05:00"), PATIENT)
    )
    assert gap["missing"] == [2, 3]
    assert (await send(fhir, form("heartbeat", [], 5)))["missing"] == [2, 3, 5]
    with fhir.db.read() as session:
        assert session.exec(select(AlertRecord.kind, AlertRecord.state)).one() == ("notification_gap", "open")
    late = [appointment(3), encounter(1)]
    assert (await send(fhir, form("event-notification", [2, 3], 5, *late, PATIENT)))["missing"] == [5]
    assert (await send(fhir, form("query-event", [5], 5, encounter(2), PATIENT)))["missing"] == []
    with fhir.db.read() as session:
        assert session.exec(select(AlertRecord.state)).one() == "resolved"


@pytest.mark.parametrize("payload", ["empty", "id-only", "id-only with entries", "another resource"])
async def test_an_event_that_is_only_announced_has_not_come(fhir: Gateway, payload: str) -> None:
    await send(fhir, r4("handshake", [], 1))

    assert (await send(fhir, announced(payload)))["missing"] == [2]

    with fhir.db.read() as session:
        assert session.exec(select(AlertRecord.kind, AlertRecord.state)).one() == ("notification_gap", "open")
    full = r4("query-event", [2], 2, appointment(1), PATIENT)
    full["entry"][0]["resource"]["parameter"][-1]["part"].append(
        {"name": "focus", "valueReference": {"reference": "https://fhir.stmary.example/r4/Appointment/a1/_history/1"}}
    )
    assert (await send(fhir, full))["missing"] == []


async def test_what_its_server_deleted_is_kept_for_a_person(fhir: Gateway) -> None:
    bundle = r4("event-notification", [1], 1)
    part = {"name": "focus", "valueReference": {"reference": "Appointment/a1"}}
    bundle["entry"][0]["resource"]["parameter"][-1]["part"].append(part)
    bundle["entry"].append({"fullUrl": "x", "request": {"method": "DELETE", "url": "Appointment/a1"}})

    answer = await send(fhir, bundle)

    assert (dispositions(answer), answer["missing"]) == (["invalid"], [])
    assert "deleted by its server" in answer["receipts"][0]["reasons"][0]
    with fhir.db.read() as session:
        assert session.exec(select(Quarantine.state)).one() == "unmapped"


async def test_resources_do_what_their_events_would(fhir: Gateway) -> None:
    await fhir.post(e.referral())
    versions = [
        appointment(1),
        appointment(2, start="2026-03-03T09:30:00-05:00"),
        appointment(3, status="cancelled"),
        appointment(4, start="2026-03-04T10:00:00-05:00"),
        encounter(1, status="planned"),
        encounter(2),
        encounter(
            3,
            status="finished",
            period={"start": "2026-03-31T06:30:00-04:00", "end": "2026-04-12T14:00:00-04:00"},
            hospitalization={"dischargeDisposition": {"coding": [{"code": "HOME"}]}},
        ),
    ]
    for number, version in enumerate(versions, start=1):
        await send(fhir, r4b("event-notification", [number], number, version, PATIENT))
    seen = record(fhir)
    assert [(a.id, a.status, a.starts_at.isoformat()) for a in seen.appointments] == [
        ("a1", "booked", "2026-03-04T10:00:00-05:00")
    ]
    stay = seen.stays[0]
    assert (stay.id, stay.inpatient, stay.discharge_status) == ("v1", True, "01")
    assert stay.ended_at is not None


async def test_the_order_of_versions_does_not_matter(fhir: Gateway) -> None:
    await fhir.post(e.referral())
    versions = [appointment(1), appointment(2, status="noshow"), appointment(3, start="2026-03-05T09:00:00-05:00")]
    for name, order in enumerate(itertools.permutations(versions)):
        for version in order:
            await send(fhir, r4b("event-notification", [], 0, version | {"id": f"perm-{name}"}, PATIENT))
    results = {(a.status, a.starts_at.isoformat()) for a in record(fhir).appointments}
    assert len(record(fhir).appointments) == 6
    assert results == {("booked", "2026-03-05T09:00:00-05:00")}


async def test_a_class_history_tells_when_a_stay_became_inpatient(fhir: Gateway) -> None:
    await fhir.post(e.referral())
    history = [
        {"class": {"code": "IMP"}, "period": {"start": "2026-03-31T18:00:00-04:00"}},
        {"class": {"code": "OBSENC"}, "period": {"start": "2026-03-31T06:30:00-04:00"}},
    ]
    await send(fhir, encounter(2, classHistory=history))
    stay = record(fhir).stays[0]
    assert (stay.started_at.isoformat(), stay.inpatient_from.isoformat() if stay.inpatient_from else None) == (
        "2026-03-31T06:30:00-04:00",
        "2026-03-31T18:00:00-04:00",
    )


def without(resource: Json, path: str) -> Json:
    changed = copy.deepcopy(resource)
    del changed[path]
    return changed


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        (appointment(1, status="CANARY"), "status"),
        (appointment(1, kind="CANARY"), "appointmentType"),
        (without(appointment(1), "start"), "start"),
        (without(appointment(1), "participant"), "participant"),
        (encounter(1, **{"class": {"code": "CANARY"}}), "class"),
        (encounter(1, status="finished"), "dischargeDisposition"),
        (encounter(1, status="done"), "status"),
        (appointment(1) | {"participant": [{"status": "CANARY"}]}, "participant.status"),
        (appointment(1) | {"canary": "CANARY"}, "an element it does not have"),
        (appointment(1) | {"start": "2026-03-02 CANARY"}, "start"),
        (appointment(1) | {"id": "CANARY CANARY"}, "id"),
        (encounter(1, statusHistory=[{"status": "CANARY", "period": {}}]), "statusHistory.status"),
        (encounter(1, subject={"identifier": {"system": MRN_SYSTEM, "value": "M", "use": "old"}}), "record number"),
        (without(encounter(1), "subject"), "record number"),
        (encounter(1, location=[{"location": {"display": "CANARY"}}]), "location"),
    ],
)
async def test_what_cannot_be_translated_is_kept_and_its_element_named(
    fhir: Gateway, resource: Json, named: str
) -> None:
    answer = await send(fhir, r4b("event-notification", [1], 1, resource, PATIENT))
    assert dispositions(answer) == ["invalid"]
    assert named in answer["receipts"][0]["reasons"][0]
    assert "CANARY" not in json.dumps(answer)
    with fhir.db.read() as session:
        assert session.exec(select(Quarantine.state)).one() == "unmapped"
        assert session.exec(select(Inbox)).all() == []


async def test_a_kept_resource_is_replayed_when_the_mapping_knows_it(fhir: Gateway) -> None:
    answer = await send(fhir, r4b("event-notification", [1], 1, appointment(2, kind="NEWTYPE"), PATIENT))
    path = f"/v1/quarantine/{answer['receipts'][0]['quarantine_id']}/replay"
    assert (await fhir.http.post(path)).json()["disposition"] == "invalid"
    parts = fhir.api.state.parts
    known = parts.mapping.appointments[0].model_copy(update={"type": "NEWTYPE"})
    changed = parts.mapping.model_copy(update={"appointments": (*parts.mapping.appointments, known)})
    object.__setattr__(parts, "mapping", changed)
    assert (await fhir.http.post(path)).json()["disposition"] == "accepted"
    with fhir.db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 2


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"resourceType": "Patient"},
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "entry": [1]},
        {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]},
        r4b("CANARY", [], 0),
        r4b("heartbeat", [], -1),
    ],
)
async def test_what_is_no_notification_is_422_without_its_values(fhir: Gateway, body: Any) -> None:
    answer = await send(fhir, body, 422)
    assert "CANARY" not in json.dumps(answer)


async def test_a_caller_without_an_entry_in_the_mapping_is_refused(fhir: Gateway) -> None:
    fhir.api.state.parts.access.actors = {digest(TOKEN): Actor("stranger")}
    await send(fhir, appointment(1), 422)
    assert (await fhir.http.post("/v1/fhir", content=b"{")).status_code == 422
    fhir.api.state.parts.access.actors = {digest(TOKEN): Actor(FEED)}
    assert (await fhir.http.post("/v1/fhir", content=b"{")).status_code == 400


async def test_what_was_entered_in_error_is_undone_and_leaves_its_events(fhir: Gateway) -> None:
    await fhir.post(e.referral())
    wrong = without(appointment(2, status="entered-in-error"), "appointmentType")
    for number, one in enumerate([appointment(1), wrong, encounter(1), encounter(2, status="entered-in-error")], 1):
        answer = await send(fhir, r4b("event-notification", [number], number, one, PATIENT))
        assert dispositions(answer) == ["accepted"]
    seen = record(fhir)
    assert [(a.status, len(a.events)) for a in seen.appointments] == [("cancelled", 2)]
    assert seen.stays == ()
    with fhir.db.read() as session:
        assert len(session.exec(select(Inbox)).all()) == 5


async def test_a_version_is_applied_whole_or_not_at_all(fhir: Gateway) -> None:
    """Booked and moved are two events of one version; the second fails on its way into the store."""
    moved = r4b("event-notification", [1], 1, appointment(2), PATIENT)
    with refusing(fhir.db, "cart.appointment.rescheduled"):
        assert (await fhir.http.post("/v1/fhir", json=moved)).status_code == 503
        with fhir.db.read() as session:
            assert session.exec(select(Inbox)).all() == []
    assert dispositions(await send(fhir, moved)) == ["accepted", "accepted"]


def whole_hospital(fhir: Gateway) -> None:
    parts = fhir.api.state.parts
    object.__setattr__(parts, "mapping", parts.mapping.model_copy(update={"unmapped": "ignore"}))


def deletion(reference: str) -> Json:
    bundle = r4("event-notification", [], 0)
    bundle["entry"].append({"fullUrl": "x", "request": {"method": "DELETE", "url": reference}})
    return bundle


def kept(gateway: Gateway) -> list[str]:
    with gateway.db.read() as session:
        return sorted(row.state for row in session.exec(select(Quarantine)))


async def test_of_the_whole_hospital_only_what_is_known_here_is_missed_when_its_server_deletes_it(
    fhir: Gateway,
) -> None:
    whole_hospital(fhir)
    labels = {"feed": FEED}
    before = REGISTRY.get_sample_value("cart_feed_ignored_total", labels) or 0.0
    for reference in ("Encounter/v1", "Appointment/a1"):
        assert (await send(fhir, deletion(reference)))["receipts"] == []
    assert REGISTRY.get_sample_value("cart_feed_ignored_total", labels) == before + 2
    assert kept(fhir) == []

    await send(fhir, r4b("event-notification", [], 0, appointment(1), PATIENT))

    assert dispositions(await send(fhir, deletion("Appointment/a1"))) == ["invalid"]
    assert kept(fhir) == ["unmapped"]


async def test_the_deletion_of_an_unmatched_stay_needs_work_once_the_stay_is_a_patients(fhir: Gateway) -> None:
    whole_hospital(fhir)
    await send(fhir, encounter(1))
    assert dispositions(await send(fhir, deletion("Encounter/v1"))) == ["quarantined"]
    assert kept(fhir) == ["aside", "aside"]
    receive(fhir.db, fhir.keys, e.referral(), e.NOW, "t")
    assert kept(fhir) == ["released", "unmapped"]


NO_CLASS: Json = {"class": {"code": "CANARY"}}


async def test_of_the_whole_hospital_an_unusable_stay_is_work_when_its_patient_is_known(fhir: Gateway) -> None:
    whole_hospital(fhir)
    answer = await send(fhir, encounter(1, **NO_CLASS))
    assert dispositions(answer) == ["quarantined"]
    assert "class" in answer["receipts"][0]["reasons"][1]
    assert kept(fhir) == ["aside"]
    with fhir.db.read() as session:
        assert session.exec(select(AlertRecord)).all() == []
    receive(fhir.db, fhir.keys, e.referral(), e.NOW, "t")
    assert kept(fhir) == ["unmapped"]
    assert dispositions(await send(fhir, encounter(2, **NO_CLASS))) == ["invalid"]


async def test_an_unusable_stay_at_a_place_not_listed_is_work_by_its_own_number_alone(fhir: Gateway) -> None:
    whole_hospital(fhir)
    receive(fhir.db, fhir.keys, e.referral(), e.NOW, "t")
    elsewhere = {"location": [{"location": {"display": "ORTHO"}}]}
    assert dispositions(await send(fhir, encounter(1, status="done", **elsewhere))) == ["quarantined"]
    assert kept(fhir) == ["aside"]
    await send(fhir, encounter(2))
    assert kept(fhir) == ["unmapped"]


async def test_on_a_feed_of_the_whole_hospital_an_unmatched_stay_is_retained_until_its_referral(fhir: Gateway) -> None:
    whole_hospital(fhir)
    assert dispositions(await send(fhir, encounter(1))) == ["quarantined"]
    assert (await send(fhir, encounter(2, location=[{"location": {"display": "ORTHO"}}])))["receipts"] == []
    with fhir.db.read() as session:
        assert [row.state for row in session.exec(select(Quarantine))] == ["aside"]
    receive(fhir.db, fhir.keys, e.referral(), e.NOW, "t")
    assert [stay.id for stay in record(fhir).stays] == ["v1"]
