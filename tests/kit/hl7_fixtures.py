"""The fixtures of HL7 messages, and what stands in a store after one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY
from sqlmodel import select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.site_mapping import SiteMapping, parse_mapping
from store.engine import Database
from store.facts import load_facts
from store.identifiers import MRN
from store.keys import Keyring
from store.merged import same_patient
from store.tables import Alias, Encounter, Quarantine, RecordMerge
from store.vault import mrn_key

DEPLOY = Path(__file__).parents[2] / "deploy"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "hl7"
CASES = sorted(path.parent for path in FIXTURES.glob("*/*/message"))
FEED_KEY = "@feed "


def mapping_with(addition: str) -> SiteMapping:
    """The packaged mapping with an addition: top-level keys and tables, or keys of its first feed."""
    text = (DEPLOY / "hl7.example.toml").read_text()
    if addition.startswith(FEED_KEY):
        return parse_mapping(text.replace("[[feeds]]\n", f"[[feeds]]\n{addition.removeprefix(FEED_KEY)}\n", 1))
    if addition.startswith("unmapped"):
        return parse_mapping(text.replace('unmapped = "quarantine"\n', addition))
    return parse_mapping(f"{text}\n{addition}")


def departures() -> dict[str, float]:
    found = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    named = (one for one in found if one.name == "cart_feed_departures_total" and one.labels["format"] == "hl7")
    return {one.labels["kind"]: one.value for one in named}


def around(db: Database, keys: Keyring) -> dict[str, Any]:
    """What stands in the store."""
    appointments, stays = [], []
    with db.read() as session:
        encounters = session.exec(select(Encounter.encounter_id)).all()
        quarantine = sorted(row.state for row in session.exec(select(Quarantine)))
        merges = len(session.exec(select(RecordMerge)).all())
    for encounter in encounters:
        record = Record(fold(load_facts(db, keys, encounter, 10_000)[0]))
        appointments += [f"{a.id} {a.stage.value} {a.status} {a.starts_at.isoformat()}" for a in record.appointments]
        for stay in record.stays:
            kind = "inpatient" if stay.inpatient else "outpatient"
            end = f" to {stay.ended_at.isoformat()} status {stay.discharge_status}" if stay.ended_at else ""
            stays.append(f"{stay.id} {kind} from {stay.started_at.isoformat()}{end}")
    return {"appointments": sorted(appointments), "stays": stays, "quarantine": quarantine, "merges": merges}


def found_by(db: Database, keys: Keyring, mrn: str) -> bool:
    with db.read() as session:
        numbers = same_patient(session, mrn_key(keys, mrn, "st_mary"))
        known = select(Alias.encounter_id).where(Alias.kind == MRN)
        return any(session.exec(known.where(Alias.alias_key == number)).first() for number in numbers)
