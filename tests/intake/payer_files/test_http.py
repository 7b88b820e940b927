"""Files of answers over HTTP: imported like those of the directory, kept and replayable when they cannot be used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from intake.payer_files.importer import PayerFileImporter
from intake.replay import reader_of
from store.tables import AlertRecord, ClaimVersion
from tests.intake.payer_files.made import SAMPLES, claim, remittance
from tests.kit.claims import LATER, encounter_of
from tests.kit.claims import send as transmit
from tests.kit.recorder import Recorder, recorder


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        taker = PayerFileImporter(made.service.db, made.service.keys, made.service.config.site)
        object.__setattr__(made.api.state.parts, "reader", reader_of(lambda: made.api.state.parts.mapping, taker))
        await encounter_of(made)
        yield made


def number(r: Recorder, letter: str = "C") -> str:
    with r.service.db.read() as session:
        row = session.exec(select(ClaimVersion).where(ClaimVersion.letter == letter)).one()
    return str(row.control_number)


async def send(r: Recorder, text: str) -> tuple[int, dict[str, Any]]:
    answer = await r.http.post("/v1/replies", content=text, headers={"Content-Type": "application/edi-x12"})
    return answer.status_code, answer.json()


def alerts(r: Recorder) -> list[tuple[str, str]]:
    with r.service.db.read() as session:
        rows = session.exec(select(AlertRecord).where(AlertRecord.kind == "reply_file_refused")).all()
    return [(row.kind, row.state) for row in rows]


async def test_a_remittance_is_taken_in_once(r: Recorder) -> None:
    text = remittance(claim(number(r)), claim(number(r, "A"), paid="500"), transfer="1300")
    status, body = await send(r, text)
    assert (status, [one["disposition"] for one in body["receipts"]]) == (202, ["accepted", "accepted"])
    status, body = await send(r, text)
    assert (status, body["detail"]) == (409, "the same file was imported before")
    listed = await r.send(None, "GET", "/v1/quarantine")
    assert listed["entries"] == []


async def test_a_file_that_cannot_be_used_waits_with_its_reason_and_is_replayed(r: Recorder) -> None:
    text = (SAMPLES / "accepted.999.x12").read_text().replace("@INTERCHANGE@", "1")
    status, body = await send(r, text)
    assert (status, body["detail"]) == (422, "it answers an interchange that was not sent from here")
    assert (await send(r, text))[1]["quarantine_id"] == body["quarantine_id"]
    assert alerts(r) == [("reply_file_refused", "open")]
    entry = (await r.send(None, "GET", "/v1/quarantine"))["entries"][0]
    assert (entry["type"], entry["state"], entry["reasons"]) == ("x12", "unmapped", [body["detail"]])
    replay = f"/v1/quarantine/{body['quarantine_id']}/replay"
    assert (await r.send(None, "POST", replay))["disposition"] == "invalid"
    with r.service.db.read() as session:
        encounter = session.exec(select(ClaimVersion)).first()
    assert encounter is not None
    transmit(r, encounter.encounter_id, now=LATER)
    assert (await r.send(None, "POST", replay))["disposition"] == "accepted"
    assert alerts(r) == [("reply_file_refused", "resolved")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "it is no X12 interchange"),
        ("\u00fc", "it is no X12 interchange"),
        ((SAMPLES / "paid.835.x12").read_text()[:400], "it ends before its trailer"),
        (
            (SAMPLES / "paid.835.x12").read_text().replace("*800*C", "*700*C"),
            "it does not balance (BPR02, CLP04, PLB): 700 was transferred, 800 is explained",
        ),
    ],
)
async def test_torn_foreign_and_unbalanced_files_are_refused_in_words(r: Recorder, text: str, reason: str) -> None:
    status, body = await send(r, text)
    assert (status, body["detail"]) == (422, reason)


async def test_an_answer_to_an_unknown_claim_waits_in_quarantine_and_can_be_replayed(r: Recorder) -> None:
    status, body = await send(r, remittance(claim("CART-ENC-0001-C"), transfer="800"))
    assert (status, body["receipts"][0]["disposition"]) == (202, "quarantined")
    entry = body["receipts"][0]["quarantine_id"]
    answer = await r.http.post(f"/v1/quarantine/{entry}/replay")
    assert answer.json()["disposition"] == "quarantined"


async def test_who_may_not_send_events_may_not_send_answers(r: Recorder) -> None:
    answer = await r.http.post("/v1/replies", content="ISA", headers={"Authorization": "Bearer unknown"})
    assert answer.status_code == 401
