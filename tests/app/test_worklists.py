"""Worklists: each claim stands where it belongs, with days and money, for those who may see its facility."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select

from activities.store.tables import ClaimVersion
from domain.plan import ClaimMoment
from tests.contract.recording import NOW, Recorder, feed, recorder

NAMES = ("unbilled", "held", "unacknowledged", "denied")


async def lists(r: Recorder) -> dict[str, list[tuple[str, str]]]:
    found = {name: await r.send(None, "GET", f"/v1/worklists/{name}") for name in NAMES}
    return {name: [(e["claim"], e["state"]) for e in body["entries"]] for name, body in found.items()}


def mark(r: Recorder, letter: str, state: str, **standing: Any) -> None:
    with r.mind.db.write() as session:
        row = session.exec(select(ClaimVersion).where(ClaimVersion.letter == letter)).one()
        row.state, row.standing = state, {"state": state, **standing}
        session.add(row)


async def test_a_claim_moves_from_list_to_list(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        receipts = await r.post(feed("a_mcl_medicare_inpatient"))
        encounter = receipts["receipts"][0]["encounter_id"]
        r.decide(encounter, NOW)
        unbilled = await r.send(None, "GET", "/v1/worklists/unbilled")
        assert [entry["claim"] for entry in unbilled["entries"]] == ["A/1", "B/1", "C/1"]
        assert unbilled["claims"] == 3
        assert float(unbilled["total"]) == sum(float(entry["total"]) for entry in unbilled["entries"])
        days = [entry["days"] for entry in unbilled["entries"]]
        assert days == sorted(days, reverse=True)
        moment = ClaimMoment(encounter=encounter, letter="A", ordinal=1, now=NOW + timedelta(days=5))
        r.hands.claim_life.transmit_claim(moment)
        mark(r, "B", "held")
        mark(r, "C", "denied", refused="1200.00", appeal_by="2026-07-05", remitted_at="2026-06-20T00:00:00+00:00")
        assert await lists(r) == {
            "unbilled": [("B/1", "held")],
            "held": [("B/1", "held")],
            "unacknowledged": [("A/1", "transmitted")],
            "denied": [("C/1", "denied")],
        }
        denied = (await r.send(None, "GET", "/v1/worklists/denied"))["entries"][0]
        assert (denied["total"], denied["days"], denied["days_left"]) == ("1200.00", 5, 10)


async def test_claims_that_wait_for_documents_are_unbilled_once_their_service_is_over(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        events = [e for e in feed("a_mcl_medicare_inpatient") if e["type"] != "cart.coding.completed"]
        receipts = await r.post(events)
        r.decide(receipts["receipts"][0]["encounter_id"], NOW)
        found = await r.send(None, "GET", "/v1/worklists/unbilled")
        waiting = [entry for entry in found["entries"] if entry["state"] == "waiting"]
        assert [entry["claim"] for entry in waiting] == ["C/1"]
        assert waiting[0]["waits_for"]
        assert waiting[0]["owner"] == "coder"


async def test_an_unknown_list_is_refused(tmp_path: Path) -> None:
    async with recorder(tmp_path) as r:
        assert (await r.http.get("/v1/worklists/other")).status_code == 422
