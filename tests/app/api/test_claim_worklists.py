"""Worklists: each claim is in its worklists, with days and amounts, for callers who may see its facility."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import select

from app.cli.worklists import worklist_lines
from store.tables import ClaimVersion
from tests.kit.claim_life import Life
from tests.kit.recorder import NOW, Recorder, feed, recorder
from tests.kit.site import live_site
from workflows.messages import ClaimMoment

NAMES = ("unbilled", "held", "unacknowledged", "denied")


async def lists(r: Recorder) -> dict[str, list[tuple[str, str]]]:
    found = {name: await r.send(None, "GET", f"/v1/worklists/{name}") for name in NAMES}
    return {name: [(e["claim"], e["state"]) for e in body["entries"]] for name, body in found.items()}


async def sent(r: Recorder) -> Life:
    """Claim C went out."""
    events = feed("a_mcl_medicare_inpatient")
    life = Life(r, events, await r.decided(events))
    life.decide()
    life.look()
    return life


async def denied(r: Recorder) -> Life:
    """Claim C was paid in part: one line was refused as denial 1 says."""
    life = await sent(r)
    cut = [{"group": "CO", "carc": "58", "amount": "400.00"}]
    line = {"hcpcs": "J9185", "charge": "600.00", "paid": "200.00", "adjustments": cut}
    await life.answered(
        "835", life.rows()[0], paid="500.00", adjustments=cut, lines=[line], rarc=["N570"], trace_number="EFT1"
    )
    return life


def mark(r: Recorder, letter: str, state: str, **standing: Any) -> None:
    with r.service.db.write() as session:
        row = session.exec(select(ClaimVersion).where(ClaimVersion.letter == letter)).one()
        row.state, row.standing = state, {"state": state, **standing}
        session.add(row)


async def test_a_claim_moves_from_list_to_list(tmp_path: Path) -> None:
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        encounter = await r.decided(feed("a_mcl_medicare_inpatient"))
        unbilled = await r.send(None, "GET", "/v1/worklists/unbilled")
        assert [entry["claim"] for entry in unbilled["entries"]] == ["A/1", "B/1", "C/1"]
        assert unbilled["claims"] == 3
        assert float(unbilled["total"]) == sum(float(entry["total"]) for entry in unbilled["entries"])
        days = [entry["days"] for entry in unbilled["entries"]]
        assert days == sorted(days, reverse=True)
        moment = ClaimMoment(encounter=encounter, letter="A", ordinal=1, now=NOW + timedelta(days=5))
        r.activities.claim_life.transmit_claim(moment)
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
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        events = [e for e in feed("a_mcl_medicare_inpatient") if e["type"] != "cart.coding.completed"]
        await r.decided(events)
        found = await r.send(None, "GET", "/v1/worklists/unbilled")
        waiting = [entry for entry in found["entries"] if entry["state"] == "waiting"]
        assert [entry["claim"] for entry in waiting] == ["C/1"]
        assert waiting[0]["waits_for"]
        assert waiting[0]["owner"] == "coder"


async def test_a_denied_claim_says_why_what_to_do_by_when_and_where_its_evidence_is(tmp_path: Path) -> None:
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        life = await denied(r)
        (entry,) = (await r.send(None, "GET", "/v1/worklists/denied"))["entries"]
        assert entry["denial"] == 1
        assert entry["reason"] == "Denied in full or in part"
        assert entry["lines"] == ["J9185: 400.00 (CARC 58)"]
        assert "Possible cause: " in entry["fix"]
        assert "Refer to an authorized center" in entry["fix"]
        assert entry["citation"] == "G432"
        assert (entry["total"], entry["paid"], entry["owner"]) == ("400.00", "500.00", "biller")
        assert entry["packet"] == f"/v1/encounters/{life.encounter}/claims/C/1/packet"


async def test_a_claim_is_unacknowledged_until_its_payer_says_that_it_has_it(tmp_path: Path) -> None:
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        life = await sent(r)
        claims = {claim for claim, _ in (await lists(r))["unacknowledged"]}
        assert claims == {"C/1"}
        await life.answered("999", life.rows()[0])
        assert (await lists(r))["unacknowledged"] == [("C/1", "acknowledged")]
        await life.answered("277CA", life.rows()[0])
        assert (await lists(r))["unacknowledged"] == []


async def test_a_void_is_no_unbilled_money(tmp_path: Path) -> None:
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        life = await sent(r)
        with r.service.db.write() as session:
            row = session.exec(select(ClaimVersion).where(ClaimVersion.letter == "C")).one()
            row.state, row.frequency = "emitted", "8"
            session.add(row)
        assert "C/1" not in {claim for claim, _ in (await lists(r))["unbilled"]}
        assert life.rows()[0].frequency == "8"


def test_a_worklist_reads_as_lines() -> None:
    entry = {
        **{"encounter_id": "enc_x", "claim": "C/1", "state": "denied", "payer": "medicare", "total": "400.00"},
        **{
            "days": 12,
            "due": "2026-10-01",
            "days_left": 3,
            "owner": "biller",
            "waits_for": ["the time to appeal ends"],
        },
        **{"reason": "denied (CARC 58)", "fix": "Attach the certificate.", "packet": None},
    }
    lines = list(worklist_lines({"name": "denied", "claims": 1, "total": "400.00", "entries": [entry]}))
    text = "\n".join(lines)
    for part in (
        "denied: 1 claim, $400.00",
        "3 days left (2026-10-01)",
        "biller: denied (CARC 58)",
        "-> Attach the certificate.",
    ):
        assert part in text, part


async def test_an_unknown_list_is_refused(tmp_path: Path) -> None:
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        assert (await r.http.get("/v1/worklists/other")).status_code == 422
