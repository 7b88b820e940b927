"""The canary: a patient with unmistakable identifiers goes through a whole encounter on the real stack, failures on the way.

Afterwards nothing names her but the vault and what must: no byte of Temporal's database, no history even when opened, no
log, metric, alert, file name, search attribute, answer or error.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from sqlmodel import select
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from app.process.payload_encryption import SealedPayloads
from app.tools.scenario_expectations import scenarios
from intake.hl7.framing import END, RETURN, START
from intake.scenario_feeds import expand
from store.engine import Database
from store.keys import Keyring, read_keyring
from store.tables import Inbox, sealed_for
from tests.kit.files import SAMPLES, SITE_FILE
from tests.kit.waiting import eventually
from tests.stack.harness import Stack

ANCHOR = date(2026, 9, 14)
FAMILY, GIVEN, MRN, MEMBER = "Quetzalcoatlus", "Xiomarabella", "CANARYMRN77", "CNRYMBR9XQ1"
BORN, STREET, CITY, POSTAL = "1937-11-23", "4711 Canaryroost Lane", "Zyzzyxville", "97531"
ORDER, VISIT, APPROVAL = "ORD-CANARY-4711", "VIS-CANARY-88", "PA-CANARY-55"
IDENTIFIERS = (FAMILY, GIVEN, MRN, MEMBER, BORN, BORN.replace("-", ""), STREET, CITY, ORDER, VISIT, APPROVAL, "CANARY")


def needles() -> list[re.Pattern[bytes]]:
    """Each identifier as it is, in any case, percent-encoded, and as it looks inside base64 at any offset."""
    found = []
    for one in IDENTIFIERS:
        plain = {one, one.replace(" ", "%20"), one.replace(" ", "+"), one.replace(" ", "_")}
        found += [re.compile(re.escape(text.encode()), re.IGNORECASE) for text in plain]
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + one.encode())[(0, 2, 3)[shift] : -4]
            found += [re.compile(re.escape(coded))] if len(coded) >= 8 else []
    return found


NEEDLES = needles()


def named_in(text: bytes) -> list[bytes]:
    return [match.group() for match in (needle.search(text) for needle in NEEDLES) if match]


def canary(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The feed with her identity, and with her identifiers in every id that a sender may make."""
    made = json.loads(json.dumps(events).replace(str(events[0]["subject"]), ORDER))
    for number, event in enumerate(made):
        event["id"], event["source"] = f"{MRN}-{FAMILY}-{number}", f"urn:{FAMILY}:scheduling"
        data = event["data"]
        if event["type"] == "cart.referral.received":
            data["patient"] |= {
                "mrn": MRN,
                "name": {"family": FAMILY, "given": GIVEN},
                "birth_date": BORN,
                "address": data["patient"]["address"] | {"line": STREET, "city": CITY, "postal_code": POSTAL},
            }
            data["coverage"]["member_id"] = MEMBER
        for name in ("charge_id", "appointment_id", "admission_id", "visit"):
            if name in data:
                data[name] = f"{VISIT}-{data[name]}"
        for name in ("by", "signer", "document"):
            if isinstance(data.get(name), str):
                data[name] = f"{GIVEN} {data[name]}"
        event["extra"] = f"{FAMILY} {MRN}"
    return list(made)


def bad(events: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Requests that must fail, with her identifiers where they hurt most."""
    first = events[0]
    wrong = copy.deepcopy(first)
    wrong["id"], wrong["data"][f"{FAMILY} {GIVEN}"], wrong["data"]["patient"]["birth_date"] = "w-1", MRN, f"{BORN}x"
    wrong["data"]["patient"][MRN.lower()] = FAMILY
    conflict = copy.deepcopy(first)
    conflict["data"]["patient"]["name"]["given"] = f"{GIVEN} Other"
    yield "/v1/events", wrong
    yield "/v1/events", conflict
    yield "/v1/events", [wrong, conflict, FAMILY, {MRN: FAMILY}, first | {"type": FAMILY, "id": "w-2"}]
    yield "/v1/events", events[-1] | {"id": f"{MRN}-stray", "subject": f"STRAY-{MRN}"}
    yield "/v1/events", f'{{"{FAMILY}'.encode()
    yield "/v1/events", f'{{"{MRN}": 1, "{MRN}": 2}}'.encode()
    yield "/v1/fhir", {"resourceType": FAMILY, "id": MRN}
    yield "/v1/fhir", {"resourceType": "Appointment", "id": MRN, "status": FAMILY, "description": BORN}
    yield "/v1/preflight", first["data"] | {"product": FAMILY, MRN: 1}
    yield f"/v1/alerts/{MRN}/acknowledge", {"by": "", FAMILY: MRN}
    yield f"/v1/quarantine/{MRN}/replay", None
    yield f"/v1/{FAMILY}", {}


HL7 = (
    f"MSH|^~\\&|CADENCE|STMARY|CART|HUB|20260901080000||SIU^S12^SIU_S12|{MRN}1|P|2.5.1\r"
    f"SCH|PLC-1|{VISIT}-9||||||CARTFU^Follow-up|60|min|^^^20261020090000|||||||||||||||{ORDER}\r"
    f"PID|1||{MRN}^^^STMARY^MR||{FAMILY}^{GIVEN}||{BORN.replace('-', '')}|F|||{STREET}^^{CITY}^IL^{POSTAL}\r"
    "RGS|1\rAIL|1||INFC^^^STMARY\r"
)
BROKEN_HL7 = (
    HL7.replace("SIU^S12", "SIU^S99"),
    HL7.replace("CARTFU", MRN),
    HL7[3:],
    HL7.replace("20261020", BORN),
)


def mllp(stack: Stack) -> bytes:
    """Send every message over a socket; returns what was answered."""
    host, port = stack.ready["mllp"].rsplit(":", 1)
    answered = b""
    with socket.create_connection((host, int(port)), timeout=20) as line:
        for message in (HL7, *BROKEN_HL7):
            line.sendall(START + message.encode() + END + RETURN)
            answer = b""
            while not answer.endswith(END + RETURN):
                answer += line.recv(65536)
            answered += answer.replace(f"{MRN}1".encode(), b"(their own message id)")
    return answered


def broken_row(stack: Stack, keys: Keyring, of_type: str, change: dict[str, Any]) -> dict[str, Any]:
    """Make a stored event one that no decision can read; returns what it was. So may damage, or a bug, leave it."""
    db = Database(stack.database)
    with db.write() as session:
        row = next(row for row in session.exec(select(Inbox)) if row.type == of_type)
        purpose = sealed_for("inbox.body", row.event_id)
        body = json.loads(keys.open(row.body, purpose))
        row.body = keys.seal(json.dumps(body | {"data": body["data"] | change}).encode(), purpose)
    db.close()
    return {name: body["data"][name] for name in change}


async def histories(stack: Stack, keys: Keyring) -> bytes:
    """Every history, as it is kept and as whoever has the keys reads it, with search attributes and memos."""
    client = await Client.connect(stack.ready["temporal"])
    codec, found = SealedPayloads(keys), []
    async for workflow in client.list_workflows():
        history = await client.get_workflow_handle(workflow.id, run_id=workflow.run_id).fetch_history()
        found += [workflow.id.encode(), repr(workflow.search_attributes).encode()]
        for event in history.events:
            found.append(json.dumps(MessageToDict(event)).encode())
            for payload in payloads_in(event):
                found += [one.data for one in await codec.decode([payload])]
    assert len(found) > 100
    return b"\n".join(found)


def payloads_in(message: Any) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [one for one in value.values() if hasattr(one, "ListFields")]
        else:
            inner = list(value) if field.is_repeated else [value]
        for one in inner:
            yield from payloads_in(one)


def rejection(control: str) -> str:
    text = (SAMPLES / "rejected.277ca.x12").read_text().replace("@CLAIM@", control)
    return text.replace("MADEUP*MORGAN", f"{FAMILY.upper()}*{GIVEN.upper()}").replace("1EG4TE5MK73", MEMBER)


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Stack]:
    """A stack that sends its claims at once."""
    site, held = re.subn(r"^bill_hold_days = \d+", "bill_hold_days = 0", SITE_FILE.read_text(), flags=re.MULTILINE)
    assert held
    (tmp_path / "site.toml").write_text(site)
    running = Stack(tmp_path / "data", "--site", str(tmp_path / "site.toml")).start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


async def test_nothing_but_the_vault_and_the_claims_themselves_names_the_patient(sending: Stack) -> None:
    stack, shown = sending, []
    keys = read_keyring(stack.data_dir / "keys.json")
    events = canary(expand(next(s for s in scenarios() if s.feed.name[0] == "a").feed, ANCHOR))

    accepted = stack.request("POST", "/v1/events", json=events)
    assert {one["disposition"] for one in accepted.json()["receipts"]} == {"accepted"}, accepted.text
    shown.append(accepted.content)
    stack.settled(ORDER)
    for path, body in bad(events):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = stack.request("POST", path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, answer.text)
        assert answer.status_code >= 400 or path in ("/v1/events", "/v1/fhir"), (path, answer.text)
        shown.append(answer.content)
    shown.append(httpx.get(f"{stack.ready['http']}/v1/encounters/{MRN}?token={MRN}").content)
    acknowledged = mllp(stack)
    assert b"|AA|" in acknowledged
    assert b"|AR|" in acknowledged or b"|AE|" in acknowledged
    shown.append(acknowledged)

    log = stack.data_dir / "logs" / "worker.log"
    was = broken_row(stack, keys, "cart.coding.completed", {"principal_diagnosis": f"{FAMILY} {MRN}"})
    stack.post([events[0] | {"id": "wake-1", "type": "cart.evidence.added", "data": imaging()}])
    eventually(lambda: "InvalidEvent" in log.read_text(), "the worker's failure is in its log")
    shown += [httpx.get(stack.ready["metrics"]).content, json.dumps(stack.get(f"/v1/encounters/{ORDER}")).encode()]
    broken_row(stack, keys, "cart.coding.completed", was)
    stack.settled(ORDER)

    outbox = stack.data_dir / "outbox"
    eventually(lambda: list(outbox.rglob("*.x12")), "a claim file is in the outbox")
    claims = stack.claims(ORDER)
    sent = next(claim for claim in claims.values() if claim["state"] == "transmitted")
    inbox = stack.data_dir / "inbox"
    (inbox / f"{FAMILY}-{MRN}.277").write_text(rejection(sent["control_number"]))
    (inbox / f"{FAMILY}-{MRN}.835").write_text(f"ISA*{FAMILY}*{MRN}~")
    (inbox / f"{GIVEN}.999").write_text(FAMILY)
    for torn in (inbox / f"{FAMILY}-{MRN}.835", inbox / f"{GIVEN}.999"):
        os.utime(torn, (0, 0))
    eventually(lambda: "rejected" in {one["state"] for one in stack.claims(ORDER).values()}, "a claim is rejected")
    eventually(lambda: not [one for one in inbox.iterdir() if one.is_file()], "the files are put where they belong")

    paths = ("", "/timeline", "/holds", "/claims", "/claims/C", "/alerts", "/explain")
    shown += [json.dumps(stack.get(f"/v1/encounters/{ORDER}{path}")).encode() for path in paths]
    listed = ("encounters", "alerts", "alerts/causes", "alerts/deliveries", "quarantine", "audit", "worklists/unbilled")
    shown += [json.dumps(stack.get(f"/v1/{path}")).encode() for path in listed]
    shown += [stack.request("GET", "/metrics").content, httpx.get(stack.ready["metrics"]).content]
    shown.append(stack.request("GET", f"/v1/encounters/{ORDER}/{FAMILY}").content)
    kept = await histories(stack, keys)

    assert named_in(b"\n".join(shown)) == [], "answers, errors, metrics, alerts, audit"
    assert named_in(kept) == [], "histories"
    files = {path.relative_to(stack.data_dir): path for path in stack.data_dir.rglob("*") if path.is_file()}
    assert named_in("\n".join(map(str, files)).encode()) == [], "file names"
    with_names = {name for name, path in files.items() if named_in(path.read_bytes())}
    assert {name.parts[0] for name in with_names} == {"outbox", "inbox"}, (
        "claim files and payers' answers alone name her"
    )
    assert {name.name for name in files} >= {
        "temporal.db",
        *(["encounters.db"] if stack.database.startswith("sqlite") else []),
        "worker.log",
        "gateway.log",
        "temporal.log",
    }
    stack.stop()
    assert not [name for name in with_names if not (stack.data_dir / name).exists()]
    later = {name for name, path in files.items() if path.exists() and named_in(path.read_bytes())}
    assert {name.parts[0] for name in later} == {"outbox", "inbox"}, "also when all of it has been written down"


def imaging() -> dict[str, Any]:
    return {"kind": "imaging", "document": f"doc {MRN}", "dated": "2026-09-01"}
