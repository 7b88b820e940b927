"""A patient with unmistakable identifiers passes every receiver, with failures; no file, log or answer names her."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from domain.custody.entries import CustodyEntry
from intake.hl7.receiver import Hl7Receiver
from intake.site_mapping import parse_mapping
from store.chain import append_custody
from tests.kit import events as e
from tests.kit.files import DEPLOY
from tests.kit.gateway import Gateway
from tests.kit.mllp import recorded

NEEDLES = (b"CANARY", b"Quetzalcoatl", b"Xiomara", b"1961-04-05", b"19610405", b"ORD-1", b"62704")


async def test_no_file_log_or_answer_names_the_patient(
    gateway: Gateway, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    first = e.referral()
    conflict, invalid, stray = copy.deepcopy(first), copy.deepcopy(first), e.custody(subject="CANARY-1", coi="CANARY-2")
    conflict["data"]["patient"]["name"]["given"] = "Xiomara Conflict"
    invalid["id"], invalid["data"]["patient"]["birth_date"] = "CANARY-invalid", "CANARY"
    invalid["data"]["nickname"] = "CANARY"
    answers = [
        await gateway.post(event) for event in (*e.feed(), conflict, invalid, stray, b'{"CANARY', [stray, invalid])
    ]
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    door = Hl7Receiver(gateway.db, gateway.keys, mapping, lambda: e.NOW, lambda: None)
    acknowledged = [door.take(message) for name in ("story", "merge", "broken") for message in recorded(name)]
    encounter = answers[1].json()["encounter_id"]
    with gateway.db.write() as session:
        entry = CustodyEntry("k", e.NOW, {"by": "Nurse CANARY", "verified_by": ["CANARY", "Quetzalcoatl"]})
        append_custody(session, gateway.keys, encounter, [entry], e.NOW)
    paths = ("", "/timeline", "/holds", "/claims", "/alerts", "/explain")
    answers += [await gateway.get(f"/v1/encounters/{encounter}{path}") for path in paths]
    answers += [
        await gateway.get(f"/v1/{path}") for path in ("encounters", "alerts", "quarantine", "encounters/CANARY")
    ]
    answers.append(await gateway.get("/metrics"))

    said = b"".join(answer.content for answer in answers)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    output = capfd.readouterr()
    logged = (output.out + output.err + caplog.text).encode()
    for place, text in (("answers", said), ("files", written), ("logs", logged), ("hl7", b"".join(acknowledged))):
        assert [needle for needle in NEEDLES if needle in text] == [], place
    assert json.loads(answers[-2].content)["status"] == 404
