"""Questions that cannot be asked, and requests that cannot be taken, say what can."""

from __future__ import annotations

import httpx
import pytest

from domain.rulebook import Rulebook
from domain.rulebook.treatment_rows import AlertKind
from tests.kit import events as e
from tests.kit.gateway import PROBLEM, Gateway


@pytest.mark.parametrize(
    ("question", "field", "known"),
    [
        ("/v1/encounters?stagee=infusion", "query.stagee", "stage"),
        ("/v1/encounters?hold=foo", "query.hold", "site_of_care"),
        ("/v1/encounters?stage=foo", "query.stage", "lymphodepletion"),
        ("/v1/encounters/ORD-1?part=live", "query.part", "none"),
        ("/v1/encounters/ORD-1/claims?histroy=true", "query.histroy", "history"),
        ("/v1/encounters?ORD-CANARY%207=1", "query", "stage"),
        ("/v1/audit?outcome=foo", "query.outcome", "denied"),
        ("/v1/quarantine?state=foo", "query.state", "aside"),
        ("/v1/alerts?states=open", "query.states", "severity"),
    ],
)
async def test_a_question_that_cannot_be_asked_names_what_can(
    gateway: Gateway, question: str, field: str, known: str
) -> None:
    await gateway.opened()
    answer = await gateway.get(question)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    problem = answer.json()["problems"][0]
    assert (problem["path"], known in problem["message"]) == (field, True)
    assert "CANARY" not in answer.text


async def test_an_empty_filter_is_none(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    (found,) = (await gateway.get("/v1/encounters?hold=")).json()["encounters"]
    assert found["encounter_id"] == encounter


async def test_a_missing_right_is_reported_first(gateway: Gateway) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.api), base_url="http://gateway") as stranger:
        assert (await stranger.get("/v1/encounters?stagee=infusion")).status_code == 401


@pytest.mark.parametrize("hold", ["readiness", "rems_facility", "eligibility.mcl.btk_inhibitor"])
async def test_kinds_layers_and_rules_of_holds_can_be_asked_for(gateway: Gateway, rules: Rulebook, hold: str) -> None:
    known = hold if "." not in hold else rules.table(AlertKind)[0].id
    assert (await gateway.get(f"/v1/encounters?hold={known}")).json() == {"encounters": [], "next": None}


async def test_the_audit_is_asked_by_the_beginning_of_what_was_done(gateway: Gateway) -> None:
    await gateway.opened()
    await gateway.get("/v1/encounters/ORD-1")
    await gateway.get("/v1/encounters/NOBODYS")
    found = (await gateway.get("/v1/audit?outcome=refused&action=encounter")).json()["entries"]
    assert [entry["target"] for entry in found] == ["(unknown)"]
    assert (await gateway.get("/v1/audit?outcome=made")).json()["entries"] == []


async def test_what_is_not_under_an_encounter_says_what_is(gateway: Gateway) -> None:
    await gateway.opened()
    answer = await gateway.get("/v1/encounters/ORD-1/nope")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert "timeline, holds, claims" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["text/html", "application/xml", "multipart/form-data", "json"])
async def test_another_content_type_is_refused_with_those_that_are_taken(gateway: Gateway, kind: str) -> None:
    answer = await gateway.post(e.referral(), content_type=kind)
    assert answer.status_code == 415
    assert "application/cloudevents+json" in answer.json()["detail"]
    assert "application/cloudevents+json" in answer.headers["accept"]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-8",
        "application/vnd.site.event+json",
    ],
)
async def test_json_by_any_name_is_taken(gateway: Gateway, kind: str) -> None:
    assert (await gateway.post(e.referral(), content_type=kind)).status_code == 202


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        (None, "(none)"),
        ("cart.referral.received", "cart.referral.received"),
        ("Xiomara", "(unknown)"),
        (7, "(unknown)"),
    ],
)
async def test_a_refused_event_is_listed_by_its_type_where_that_is_one(
    gateway: Gateway, stated: object, shown: str
) -> None:
    broken = {**e.referral(), "type": stated}
    del broken["data"]["weight_kg"]
    if stated is None:
        del broken["type"]
    await gateway.post(broken)
    listed = (await gateway.get("/v1/quarantine")).json()["entries"]
    assert [entry["type"] for entry in listed] == [shown]
