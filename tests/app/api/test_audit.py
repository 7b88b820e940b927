"""The audit, as whoever answers for privacy asks it: by encounter, by person, by outcome, page by page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import Role
from app.cli.main import cli
from tests.kit import events as e
from tests.kit.gateway import TOKEN, Gateway
from tests.kit.sockets import listening

NURSE = Actor("staff_0123456789ab", frozenset({Role.COORDINATOR}), person="jane (hospital: u-17)")


async def as_(gateway: Gateway, actor: Actor, path: str) -> int:
    parts = gateway.api.state.parts
    parts.access.actors[digest(actor.name)] = actor
    parts.introduce(actor)
    return (await gateway.http.get(path, headers={"Authorization": f"Bearer {actor.name}"})).status_code


async def asked(gateway: Gateway, query: str = "") -> list[tuple[str, str | None, str, str, str]]:
    answer = await gateway.get(f"/v1/audit{query}")
    assert answer.status_code == 200, answer.text
    return [(x["actor"], x["person"], x["action"], x["target"], x["outcome"]) for x in answer.json()["entries"]]


async def test_an_encounter_tells_who_read_it_who_was_turned_away_and_who_took_its_alerts(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    await gateway.post(e.referral() | {"data": e.referral()["data"] | {"weight_kg": "71"}})
    alert = (await gateway.get("/v1/alerts")).json()["alerts"][0]["alert_id"]
    await gateway.http.post(f"/v1/alerts/{alert}/acknowledge", json={"by": "integration"})
    assert await as_(gateway, NURSE, "/v1/encounters/ORD-1/claims") == 200
    stranger = Actor("lakeside", frozenset({Role.BILLER}), frozenset({"lakeside"}))
    assert await as_(gateway, stranger, "/v1/encounters/ORD-1") == 404
    assert await as_(gateway, NURSE, "/v1/encounters/unknown") == 404
    found = await asked(gateway, "?encounter=ORD-1")
    assert sorted(found) == [
        ("lakeside", None, "GET /v1/encounters/{ref}", encounter, "denied"),
        (NURSE.name, NURSE.person, "claims", encounter, "read"),
        ("tests", None, "acknowledge", alert, "acknowledged"),
        ("tests", None, "audit", encounter, "read"),
    ]
    assert {one[2:] for one in await asked(gateway, f"?caller={NURSE.name}")} == {
        ("encounter", "(unknown)", "refused"),
        ("claims", encounter, "read"),
    }
    assert [one[0] for one in await asked(gateway, "?outcome=denied")] == ["lakeside"]
    assert {one[2] for one in await asked(gateway, "?action=audit")} == {"audit"}


async def test_pages_follow_each_other_without_gap_also_within_one_moment(gateway: Gateway) -> None:
    for _ in range(7):
        await gateway.get("/v1/encounters/unknown")
    seen: list[str] = []
    after = ""
    while after is not None:
        body = (await gateway.get(f"/v1/audit?action=encounter&limit=3{'&after=' + after if after else ''}")).json()
        seen += [entry["audit_id"] for entry in body["entries"]]
        after = body["next"]
    assert len(seen) == len(set(seen)) == 7
    assert (await gateway.get("/v1/audit?after=nothing")).status_code == 404


async def test_moments_need_a_zone_and_bound_the_answer(gateway: Gateway) -> None:
    await gateway.get("/v1/encounters/unknown")
    before, after = ((e.NOW + timedelta(seconds=n)).isoformat().replace("+00:00", "Z") for n in (-1, 1))
    assert len(await asked(gateway, f"?action=encounter&since={before}&until={after}")) == 1
    assert await asked(gateway, f"?action=encounter&since={after}") == []
    assert await asked(gateway, f"?action=encounter&until={before}") == []
    assert (await gateway.get("/v1/audit?since=2026-03-01T00:00:00")).status_code == 422


async def test_every_reading_stands_in_the_audit(gateway: Gateway) -> None:
    encounter = await gateway.opened()
    for path, action, target in (
        ("/v1/encounters", "encounters", "(list)"),
        ("/v1/alerts", "alerts", "(list)"),
        ("/v1/quarantine", "quarantine", "(list)"),
        ("/v1/worklists/held", "worklist", "held"),
        *((f"/v1/encounters/ORD-1{one}", action, encounter) for one, action in (
            ("", "encounter"), ("/holds", "holds"), ("/timeline", "timeline"), ("/claims", "claims"),
            ("/alerts", "alerts"), ("/explain", "explain"))),
    ):  # fmt: skip
        assert (await gateway.get(path)).status_code == 200
        assert ("tests", None, action, target, "read") in await asked(gateway), path


@pytest.fixture
def served(gateway: Gateway, tmp_path: Path) -> Iterator[list[str]]:
    (tmp_path / "token").write_text(TOKEN)
    with listening(gateway.api) as url:
        yield ["audit", "--url", url, "--data-dir", str(tmp_path)]


async def test_the_command_line_prints_it_for_a_spreadsheet_which_runs_nothing_of_it(
    gateway: Gateway, served: list[str]
) -> None:
    encounter = await gateway.opened()
    evil = Actor("=HYPERLINK(1)", frozenset({Role.AUDITOR}))
    assert await as_(gateway, evil, "/v1/encounters/ORD-1") == 200
    result = CliRunner().invoke(cli, [*served, "ORD-1"])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert sorted((row["actor"], row["action"], row["target"]) for row in rows) == [
        ("'=HYPERLINK(1)", "encounter", encounter),
        ("tests", "audit", encounter),
    ]
    listed = json.loads(CliRunner().invoke(cli, [*served, "--json", "--outcome", "read"]).output)
    assert {entry["outcome"] for entry in listed} == {"read"}
