"""The HTTP contract of design section 7, on a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from sqlmodel import select

from app.api.access import digest
from app.api.actors import Actor, Limits
from domain.custody.entries import CustodyEntry
from store.chain import append_custody
from store.tables import AlertRecord, AuditEntry, Encounter, EncounterEvent, Inbox
from tests.kit import events as e
from tests.kit.databases import as_owner
from tests.kit.gateway import PROBLEM, TOKEN, Gateway
from tests.kit.rows import claim_row


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert set(body) >= {"type", "title", "status", "detail", "problems"}
    return dict(body)


async def test_one_event_one_receipt_and_the_same_again_is_a_duplicate(gateway: Gateway) -> None:
    first = await gateway.post(e.referral())
    assert first.status_code == 202
    assert first.json()["disposition"] == "accepted"
    again = (await gateway.post(e.referral())).json()
    assert again == first.json() | {"disposition": "duplicate"}


async def test_a_batch_answers_for_each_event_in_its_order(gateway: Gateway) -> None:
    invalid = e.booking("b-9")
    del invalid["data"]["stage"]
    conflict = e.referral()
    conflict["data"]["weight_kg"] = "71"
    answer = await gateway.post(
        [e.referral(), e.referral(), invalid, conflict, e.custody(subject="unknown"), "no event"]
    )
    assert answer.status_code == 202
    receipts = answer.json()["receipts"]
    assert [receipt["disposition"] for receipt in receipts] == [
        "accepted",
        "duplicate",
        "invalid",
        "conflict",
        "quarantined",
        "invalid",
    ]
    assert receipts[2]["problems"] == [{"path": "data.stage", "message": "required field is missing"}]


async def test_binary_structured_and_plain_json_are_one_event(gateway: Gateway) -> None:
    """A peer's library sends what ours reads, and the mode is no difference of content."""
    body = e.booking()
    attributes = {name: body[name] for name in ("id", "source", "type", "subject", "specversion")}
    event = CloudEvent({**attributes, "time": e.ANCHOR, "datacontenttype": "application/json"}, body["data"])
    answers = []
    for message in (to_binary_event(event), to_structured_event(event)):
        answers.append(await gateway.http.post("/v1/events", content=message.body, headers=dict(message.headers)))
    assert [(a.status_code, a.json()["disposition"]) for a in answers] == [(202, "accepted"), (202, "duplicate")]


async def test_a_conflict_is_409_and_an_unfit_event_422_with_paths_and_without_values(gateway: Gateway) -> None:
    await gateway.post(e.referral())
    other = e.referral()
    other["data"]["weight_kg"] = "71"
    assert problem(await gateway.post(other), 409)["receipt"]["disposition"] == "conflict"
    bad = e.referral("r-2")
    bad["data"]["patient"]["birth_date"] = "CANARY-1961"
    answer = await gateway.post(bad)
    body = problem(answer, 422)
    assert [p["path"] for p in body["problems"]] == ["data.patient.birth_date"]
    assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1, 2", b'"text"', b"12", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000],
)
async def test_what_is_not_readable_is_400(gateway: Gateway, body: bytes) -> None:
    problem(await gateway.post(body), 400)


async def test_no_token_a_wrong_token_and_another_scheme_are_401_and_on_record(gateway: Gateway) -> None:
    for value in ("", "Bearer wrong", "Basic abc"):
        answer = await gateway.http.get("/v1/encounters", headers={"Authorization": value})
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    with gateway.db.read() as session:
        assert {row.outcome for row in session.exec(select(AuditEntry))} == {"denied"}


async def test_too_large_is_413(gateway: Gateway) -> None:
    large = e.booking()
    large["data"]["filler"] = "x" * (256 * 1024)
    problem(await gateway.post(large), 413)
    problem(await gateway.post([large]), 413)
    problem(await gateway.post(b" " * (4 * 1024 * 1024 + 1)), 413)


async def test_too_often_is_429_with_the_seconds_to_wait(gateway: Gateway) -> None:
    slow = Actor("slow", limits=Limits(rate=0.5, burst=2))
    gateway.api.state.parts.access.actors = {digest(TOKEN): slow}
    answers = [await gateway.get("/v1/alerts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) in (1, 2)


async def test_without_the_database_it_is_503_and_says_when_to_come_back(gateway: Gateway) -> None:
    with as_owner(gateway.db) as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO away")
    answer = await gateway.post(e.referral())
    problem(answer, 503)
    assert answer.headers["retry-after"]
    assert (await gateway.get("/readyz")).status_code == 503
    with as_owner(gateway.db) as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO inbox")
    assert (await gateway.post(e.referral())).status_code == 202


async def test_an_encounter_is_found_by_id_and_by_any_identifier_and_the_reading_is_on_record(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    await gateway.post(e.collection(coi="COI-1"))
    for reference in (encounter, "ORD-1", "COI-1", "DIN-1"):
        body = (await gateway.get(f"/v1/encounters/{reference}")).json()
        assert body["encounter_id"] == encounter
        assert (body["last_sequence"], body["up_to_date"]) == (2, False)
    problem(await gateway.get("/v1/encounters/unknown"), 404)
    with gateway.db.read() as session:
        rows = session.exec(select(AuditEntry).where(AuditEntry.action == "encounter")).all()
    assert {(row.actor, row.target, row.outcome) for row in rows} == {
        ("tests", encounter, "read"),
        ("tests", "(unknown)", "refused"),
    }


def decided(gateway: Gateway, encounter: str) -> None:
    """What the worker would have written after its decision."""
    hold = {
        "id": "readiness.fact",
        "kind": "readiness",
        "gate": "apheresis",
        "scope": "encounter",
        "owner": "coordinator",
        "title": "no certificate",
        "missing": "the certificate of the center",
        "fix": "file it",
        "rule": "certifications.fact",
        "citation": "G184",
        "layer": "fact",
        "override": None,
    }
    gate = {"stage": "apheresis", "on": "2026-03-02", "open": False, "requirements": [], "overridden": []}
    with gateway.db.write() as session:
        row = session.get_one(Encounter, encounter)
        row.decided_sequence, row.holds_open, row.decided_at = row.next_sequence - 1, 1, e.NOW
        row.view = {"stage": "apheresis", "holds": [hold], "gates": [gate], "cleared": [], "edition": "current"}


async def test_lists_are_filtered_by_stage_and_by_hold_and_come_in_pages(gateway: Gateway) -> None:
    first = await gateway.opened()
    for number in range(2, 5):
        await gateway.post(e.booking(f"b-{number}", f"ORD-{number}", f"A-{number}"))
    decided(gateway, first)
    for wanted in ("readiness", "fact", "certifications.fact", "readiness.fact"):
        page = (await gateway.get(f"/v1/encounters?hold={wanted}&stage=apheresis")).json()
        assert [row["encounter_id"] for row in page["encounters"]] == [first]
    assert (await gateway.get("/v1/encounters?stage=infusion")).json() == {"encounters": [], "next": None}
    seen, after = [], ""
    while after is not None:
        page = (await gateway.get(f"/v1/encounters?limit=3{'&after=' + after if after else ''}")).json()
        seen += [row["encounter_id"] for row in page["encounters"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 4
    problem(await gateway.get("/v1/encounters?stage=nowhere"), 422)


async def test_holds_and_state_are_shown_as_decided(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    decided(gateway, encounter)
    body = (await gateway.get("/v1/encounters/ORD-1")).json()
    assert body["up_to_date"] is True
    assert body["hold_kinds"] == ["readiness"]
    assert body["gates"][0]["open"] is False
    holds = (await gateway.get("/v1/encounters/ORD-1/holds")).json()["holds"]
    assert [hold["rule"] for hold in holds] == ["certifications.fact"]


async def test_the_timeline_is_verified_at_each_call_and_an_edit_shows(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    entries = [
        CustodyEntry(f"evt_{n}", e.ANCHOR + timedelta(hours=n), {"step": "packed", "by": "Jane CANARY"}) for n in (2, 1)
    ]
    with gateway.db.write() as session:
        append_custody(session, gateway.keys, encounter, entries, e.NOW)
    answer = await gateway.get("/v1/encounters/ORD-1/timeline")
    body = answer.json()
    assert (body["verified"], body["first_broken"]) == (True, None)
    assert [record["key"] for record in body["records"]] == ["evt_1", "evt_2"]
    assert [link["position"] for link in body["links"]] == [1, 2]
    assert body["links"][1]["previous_hash"] == body["links"][0]["hash"]
    assert "CANARY" not in answer.text
    with gateway.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE custody_records SET content = replace(content, 'packed', 'stored') WHERE position = 2"
        )
    body = (await gateway.get("/v1/encounters/ORD-1/timeline")).json()
    assert (body["verified"], body["first_broken"]) == (False, 2)
    assert (await gateway.get("/v1/encounters/ORD-1")).json()["custody_verified"] is False


async def test_alerts_are_listed_taken_once_and_not_after_their_end(gateway: Gateway) -> None:
    await gateway.opened()
    conflict = e.referral()
    conflict["data"]["weight_kg"] = "71"
    await gateway.post(conflict)
    alert = (await gateway.get("/v1/alerts?state=open&severity=warning&kind=event_conflict")).json()["alerts"][0]
    path = f"/v1/alerts/{alert['alert_id']}/acknowledge"
    taken = (await gateway.http.post(path, json={"by": "integration", "note": "asked CANARY"})).json()
    assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", "integration")
    again = (await gateway.http.post(path, json={"by": "biller"})).json()
    assert again == taken
    assert (await gateway.get("/v1/encounters/ORD-1/alerts")).json()["alerts"] == [taken]
    with gateway.db.write() as session:
        row = session.exec(select(AlertRecord)).one()
        assert row.acknowledged_note
        assert b"CANARY" not in row.acknowledged_note
        row.state = "resolved"
    problem(await gateway.http.post(path, json={"by": "x"}), 409)
    problem(await gateway.http.post("/v1/alerts/none/acknowledge", json={"by": "x"}), 404)
    problem(await gateway.http.post(path, json={"by": ""}), 422)


async def test_a_quarantined_event_is_listed_without_content_and_replayed(gateway: Gateway) -> None:
    answer = await gateway.post(e.custody(subject="CANARY-SUBJECT", coi="CANARY-COI"))
    entry = answer.json()["quarantine_id"]
    listed = await gateway.get("/v1/quarantine?state=waiting")
    assert [row["quarantine_id"] for row in listed.json()["entries"]] == [entry]
    assert "CANARY" not in listed.text
    path = f"/v1/quarantine/{entry}/replay"
    assert (await gateway.http.post(path)).json()["disposition"] == "quarantined"
    opened = (await gateway.post(e.booking(subject="CANARY-SUBJECT"))).json()
    replayed = (await gateway.http.post(path)).json()
    assert (replayed["disposition"], replayed["encounter_id"]) == ("duplicate", opened["encounter_id"])
    problem(await gateway.http.post("/v1/quarantine/none/replay"), 404)


async def test_a_second_body_in_quarantine_is_never_applied(gateway: Gateway) -> None:
    await gateway.post(e.custody(subject="unknown"))
    other = await gateway.post(e.custody(subject="unknown", step="shipped"))
    receipt = problem(other, 409)["receipt"]
    problem(await gateway.http.post(f"/v1/quarantine/{receipt['quarantine_id']}/replay"), 409)


async def test_claims_are_the_current_versions_with_their_open_errors(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    with gateway.db.write() as session:
        for row in (("A", 1, 1, "superseded"), ("A", 1, 2, "emitted"), ("A", 2, 1, "held"), ("B", 1, 1, "withdrawn")):
            session.add(claim_row(encounter, *row))
    listed = (await gateway.get("/v1/encounters/ORD-1/claims")).json()["claims"]
    shown = [
        (c["letter"], c["ordinal"], c["version"], c["state"], len(c["errors"]), len(c["warnings"])) for c in listed
    ]
    assert shown == [("A", 1, 2, "emitted", 0, 1), ("A", 2, 1, "held", 1, 0)]
    assert len((await gateway.get("/v1/encounters/ORD-1/claims?history=true")).json()["claims"]) == 4
    assert (await gateway.get("/v1/encounters/ORD-1/claims/A")).json()["version"] == 2
    assert (await gateway.get("/v1/encounters/ORD-1/claims/A/2")).json()["state"] == "held"
    problem(await gateway.get("/v1/encounters/ORD-1/claims/B"), 404)
    problem(await gateway.get("/v1/encounters/ORD-1/claims/E"), 422)
    problem(await gateway.get("/v1/encounters/ORD-1/claims/A", accept="application/edi-x12"), 409)


async def test_every_line_hold_and_alert_is_explained_by_its_rule(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    decided(gateway, encounter)
    with gateway.db.write() as session:
        session.add(claim_row(encounter, "A", 1, 1, "emitted"))
    found = (await gateway.get("/v1/encounters/ORD-1/explain")).json()["explanations"]
    assert [one["what"] for one in found] == ["claim_line", "hold"]
    assert found[0]["subject"] == "claim A/1 line 1"
    assert found[0]["effective_from"]
    assert found[0]["events"] == ["evt_1"]
    assert found[1]["source"] == "G184"


async def test_what_this_gateway_cannot_do_is_501_and_never_a_fake(gateway: Gateway) -> None:
    problem(await gateway.http.post("/v1/fhir", json={}), 501)


async def test_preflight_says_what_is_missing_and_stores_nothing(gateway: Gateway) -> None:
    for body in (e.referral(), e.referral()["data"]):
        answer = await gateway.http.post("/v1/preflight", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["cleared"] is False
        assert "CANARY" not in answer.text
    found = problem(await gateway.http.post("/v1/preflight", json={"product": 7}), 422)
    assert "data.product" in [one["path"] for one in found["problems"]]
    with gateway.db.read() as session:
        assert session.exec(select(Inbox)).all() == []


async def test_health_needs_no_token(gateway: Gateway) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as stranger:
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}
        assert (await stranger.get("/readyz")).json() == {"ready": True, "database": True, "temporal": True}
        assert "cart_events_received_total" in (await stranger.get("/metrics")).text


async def test_the_openapi_names_every_status_an_endpoint_gives(gateway: Gateway) -> None:
    paths = (await gateway.get("/openapi.json")).json()["paths"]
    assert set(paths["/v1/events"]["post"]["responses"]) == {
        *("202", "400", "401", "403", "409", "413", "415", "422", "429", "500", "503")
    }
    for path, operations in paths.items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                assert {"401", "429", "503"} <= set(operation["responses"]), path


async def test_a_place_is_noted_for_every_event_of_an_encounter(gateway: Gateway) -> None:
    await gateway.post(e.feed())
    with gateway.db.read() as session:
        sequences = [row.sequence for row in session.exec(select(EncounterEvent))]
    assert sorted(sequences) == list(range(1, len(sequences) + 1))


# --- entries of the quarantine that nothing will ever release ---------------------------------------------------------


async def test_an_entry_is_closed_with_who_and_why_and_leaves_the_counts(gateway: Gateway) -> None:
    broken = e.referral()
    del broken["data"]["weight_kg"]
    entry = (await gateway.post(broken)).json()["receipt"]["quarantine_id"]
    path = f"/v1/quarantine/{entry}/close"
    for body, field in (
        ({"by": "coordinator"}, "because"),
        ({"by": "coordinator", "because": "whim"}, "because"),
        ({"because": "corrected"}, "by"),
        ({"by": "coordinator", "because": "other"}, "note"),
    ):
        refused = await gateway.http.post(path, json=body)
        assert refused.status_code == 422
        problem = refused.json()["problems"][0]
        assert field in problem["path"] + problem["message"]
    done = await gateway.http.post(path, json={"by": "coordinator", "because": "corrected", "note": "of Xiomara"})
    assert done.status_code == 200
    listed = (await gateway.get("/v1/quarantine?state=closed")).json()["entries"]
    assert listed == [done.json()]
    assert (listed[0]["closed_by"], listed[0]["closed_because"]) == ("coordinator", "corrected")
    assert "Xiomara" not in done.text
    assert (await gateway.http.post(path, json={"by": "x", "because": "corrected"})).status_code == 409
    assert (
        await gateway.http.post("/v1/quarantine/none/close", json={"by": "x", "because": "corrected"})
    ).status_code == 404
