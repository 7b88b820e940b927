"""What must be the same after a fault: what the database shows, what the payers have, and what was sent about alerts.

The payers' side is read from the files alone, by `pyx12`.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyx12.x12file import X12Reader
from sqlmodel import col, select

from store.chain import records_in_effect
from store.engine import Database
from store.keys import Keyring
from store.queries.custody import chain_links
from store.tables import (
    AlertRecord,
    ClaimVersion,
    CustodyRecord,
    Encounter,
    EncounterEvent,
    Inbox,
    Quarantine,
    ReplyFile,
    Transmission,
)
from workflows.names import claim_workflow_id

IDS = re.compile(r"(evt|enc|qua)_[a-z0-9]+")
"""They are others in every run."""
GONE = ("withdrawn", "superseded", "voided")


def numbers(db: Database) -> dict[str, str]:
    """The control number of the newest version of each claim that has one, by letter/ordinal/version too."""
    with db.read() as session:
        rows = session.exec(select(ClaimVersion).order_by(col(ClaimVersion.version))).all()
    found = {f"{row.letter}/{row.ordinal}": str(row.control_number) for row in rows if row.control_number}
    return found | {f"{row.letter}/{row.ordinal}/{row.version}": str(row.control_number) for row in rows}


def outcome(db: Database, keys: Keyring, outbox: Path) -> dict[str, Any]:
    """Everything that the database shows of every encounter, without ids and moments of the machine."""
    with db.read() as session:
        encounters = session.exec(select(Encounter).order_by(col(Encounter.created_at))).all()
        alerts = session.exec(select(AlertRecord)).all()
        rows = session.exec(select(ClaimVersion).order_by(col(ClaimVersion.version))).all()
        sent = session.exec(select(Transmission)).all()
        types = Counter(session.exec(select(Inbox.type)))
        undelivered = session.exec(select(EncounterEvent).where(col(EncounterEvent.delivered_at).is_(None))).all()
        waiting = Counter(row.state for row in session.exec(select(Quarantine)))
        replies = session.exec(select(ReplyFile)).all()
        custody = [custody_shown(records_in_effect(chain_links(session, one.encounter_id))) for one in encounters]
    return {
        "events": dict(sorted(types.items())),
        "not delivered": len(undelivered),
        "quarantine": dict(sorted(waiting.items())),
        "payer files": len(replies),
        "encounters": [encounter_shown(one) for one in encounters],
        "open alerts": alerts_shown(one for one in alerts if one.state != "resolved"),
        "alerts": sorted(set(alerts_shown(alerts))),
        "custody": custody,
        "claims": claim_shown(rows),
        "versions": sorted((row.letter, row.ordinal, row.frequency) for row in rows if row.frequency != "1"),
        "files": sorted(
            (one.mode, one.payer, f"{one.receiver_id}-{one.interchange:09d}.x12", one.control_number, one.letter)
            for one in sent
        ),
        "not written": sum(1 for one in sent if one.written_at is None),
        "behind": sum(1 for one in encounters if one.decided_sequence < one.next_sequence - 1),
        "claims due": sorted(
            claim_workflow_id(row.encounter_id, row.letter, row.ordinal)
            for row in rows
            if row.state not in GONE and row.standing.get("next_due")
        ),
        "ids": {one.encounter_id: one.status for one in encounters},
    }


def encounter_shown(row: Encounter) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "status": row.status,
        "outcome": row.view.get("outcome"),
        "holds": sorted(hold["id"] for hold in row.view["holds"]),
        "gates": {gate["stage"]: gate["open"] for gate in row.view["gates"]},
    }


def alerts_shown(alerts: Iterable[AlertRecord]) -> list[tuple[str, str]]:
    """Kind and key; the event that a key names has another id in every run."""
    return sorted((one.kind, IDS.sub(r"\1", one.key)) for one in alerts)


def claim_shown(rows: Iterable[ClaimVersion]) -> dict[str, Any]:
    """The current content of each claim."""
    return {
        f"{row.letter}/{row.ordinal}": (
            row.state,
            row.frequency,
            row.payer,
            str(row.total),
            _billed(row.document),
            _status(row.standing),
        )
        for row in rows
        if row.state not in GONE
    }


def custody_shown(links: Iterable[CustodyRecord]) -> list[tuple[str, str, str]]:
    """The records in effect; a record and its correction are the same content."""
    return sorted(
        (link.kind if link.kind != "correction" else "record", link.occurred.isoformat(), _content(link.content))
        for link in links
    )


def _content(text: str) -> str:
    content = json.loads(text)
    content.pop("corrects", None)
    return IDS.sub(r"\1", json.dumps({k: v for k, v in content.items() if k not in PSEUDONYMS}, sort_keys=True))


PSEUDONYMS = frozenset({"by", "second_verifier", "verified_by", "signer", "attested_by", "admission_id", "event"})


def _billed(document: dict[str, Any]) -> list[Any]:
    lines = [(one["revenue_code"], one["hcpcs"], one["units"], one["charge"]) for one in document["lines"]]
    return [lines, [(one["role"], one["code"]) for one in document["diagnoses"]]]


def _status(standing: dict[str, Any]) -> dict[str, Any]:
    return {key: standing.get(key) for key in ("state", "paid", "refused", "patient_responsibility", "heard")}


@dataclass(frozen=True)
class Filed:
    """One claim in one file, as its payer reads it."""

    place: str
    receiver: str
    interchange: str
    group: str
    number: str
    total: str
    facility: str
    frequency: str
    refers_to: str
    member: str
    record: str = ""

    @property
    def content(self) -> tuple[str, ...]:
        return (self.place, self.total, self.facility, self.frequency, self.member)


def filed(outbox: Path) -> list[Filed]:
    """Every claim of every complete file in the outbox.

    Raises:
        AssertionError: a file is torn, or its name is not that of its content.
    """
    found: list[Filed] = []
    for path in sorted(path for path in outbox.rglob("*.x12") if not path.name.startswith(".")):
        text = path.read_text(encoding="ascii")
        assert "IEA*" in text, f"torn: {path.name}"
        place = str(path.parent.relative_to(outbox))
        found += _claims(text, place, path.stem)
    return found


REFERENCES = {"F8": "refers_to", "EA": "record"}
"""The payer's number of the claim that is replaced or voided; the patient's record number."""


def _claims(text: str, place: str, name: str) -> list[Filed]:
    header: dict[str, str] = {}
    found: list[dict[str, str]] = []
    member = ""
    for segment in X12Reader(io.StringIO(text)):
        kind = segment.get_seg_id()
        if kind == "ISA":
            header = {"receiver": segment.get_value("ISA08").strip(), "interchange": segment.get_value("ISA13")}
        elif kind == "GS":
            header["group"] = segment.get_value("GS06")
        elif kind == "NM1" and segment.get_value("NM101") == "IL":
            member = segment.get_value("NM109") or ""
        elif kind == "CLM":
            facility, _, frequency = (segment.get_value(f"CLM05-{part}") for part in (1, 2, 3))
            claim = {"number": segment.get_value("CLM01"), "total": segment.get_value("CLM02"), "member": member}
            found.append({**claim, "facility": facility, "frequency": frequency, "refers_to": ""})
        elif kind == "REF" and segment.get_value("REF01") in REFERENCES and found:
            found[-1][REFERENCES[segment.get_value("REF01")]] = segment.get_value("REF02")
    assert name == f"{header['receiver']}-{int(header['interchange']):09d}", f"{name} has the content of another file"
    return [Filed(place=place, **header, **one) for one in found]


def doubled(claims: Iterable[Filed]) -> list[str]:
    """Numbers that were used twice."""
    claims = list(claims)
    wrong = []
    for number, times in Counter(one.number for one in claims).items():
        if times > 1:
            wrong.append(f"claim number {number} is in {times} places")
    files = {(one.place, one.receiver, one.interchange) for one in claims}
    used = Counter((place.split("/")[0], receiver, number) for place, receiver, number in files)
    return wrong + [f"interchange {key} is in {times} files" for key, times in used.items() if times > 1]


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs from the undisturbed run. Alerts of the fault itself may have come and gone."""
    wrong = []
    for key, before in expected.items():
        after = found.get(key)
        if key in ("ids", "files", "claims due"):
            continue
        if key in ("alerts", "delivered"):
            missing = [one for one in before if one not in after]
            wrong += [f"{key}: {one} is missing" for one in missing]
        elif before != after:
            wrong.append(f"{key}: {_short(before)} became {_short(after)}")
    return wrong


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 4000 else text[:4000] + "…"
