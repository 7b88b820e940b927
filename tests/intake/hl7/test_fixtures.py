"""Every folder of tests/fixtures/hl7, sent over a socket: what hospitals write, and what becomes of it.

A folder `<trigger>/<quirk>` holds `message` (its bytes, as they come in a frame), what was sent before it (`before-1`, …),
additions to the packaged mapping (`mapping.toml`), and `expected.toml`: the answer, what of its text must stand there, the
bookings, stays and merges afterwards, the states in quarantine, and the departures that are counted. The quirk of a vendor
is added as a folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlmodel import select

from domain.encounter.facts import fold
from domain.encounter.record import Record
from intake.hl7.batch import messages_of
from intake.hl7.framing import END, RETURN, START
from intake.hl7.message import Message, header_of, read
from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import Hl7Door
from intake.inbox.matching import recognize
from intake.site_mapping import Named, SiteMapping, parse_mapping
from store.engine import Database
from store.facts import load_facts
from store.identifiers import MRN
from store.keys import Keyring
from store.merged import same_patient
from store.tables import Alias, Encounter, Quarantine, RecordMerge
from store.vault import mrn_key
from tests.intake.hl7.conftest import DEPLOY, Client, framed
from tests.store import examples as e

FIXTURES = Path(__file__).parents[2] / "fixtures" / "hl7"
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


async def answers_to(client: Client, message: bytes) -> list[Message]:
    await client.write(framed(message))
    frame = await client.reader.readuntil(END + RETURN)
    answer = frame.removeprefix(START).removesuffix(END + RETURN)
    return [read(one) for one in messages_of(answer)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
async def test_the_fixture_does_what_it_must(store: tuple[Database, Keyring], case: Path) -> None:
    expected = tomllib.loads((case / "expected.toml").read_text())
    addition = case / "mapping.toml"
    mapping = mapping_with(addition.read_text() if addition.exists() else "")
    db, keys = store
    server = MllpServer(Hl7Door(db, keys, mapping, lambda: e.NOW, lambda: None), "127.0.0.1", 0)
    client = Client(*await _open(await server.start()))
    for before in sorted(case.glob("before-*")):
        assert [one.get("MSA-1") for one in await answers_to(client, before.read_bytes())] == ["AA"]
    counted = departures()
    message = (case / "message").read_bytes()
    answers = await answers_to(client, message)
    await client.close()
    await server.stop()
    header = header_of(message)
    assert [one.get("MSA-1") for one in answers] == expected.get("answers", [expected["answer"]])
    assert answers[0].get("MSA-2") == (header.get("MSH-10") if header else None)
    assert expected.get("text", "") in str(answers[0].get("MSA-3"))
    now = around(db, keys)
    wanted = {"appointments": [], "stays": [], "quarantine": [], "merges": 0}
    assert now == wanted | {key: value for key, value in expected.items() if key in wanted}
    assert all(found_by(db, keys, mrn) for mrn in expected.get("found", ()))
    new = sorted(kind for kind, value in departures().items() if value > counted.get(kind, 0.0))
    assert new == sorted(expected.get("departures", []))


async def _open(port: int) -> Any:
    import asyncio

    return await asyncio.open_connection("127.0.0.1", port)


def test_a_number_of_many_appointments_names_none(store: tuple[Database, Keyring]) -> None:
    """Systems give one placer number to every appointment; by it nothing is cancelled."""
    db, keys = store
    door = Hl7Door(db, keys, mapping_with(""), lambda: e.NOW, lambda: None)
    booking = (FIXTURES / "SIU_S12" / "version-2.5" / "message").read_bytes().replace(b"|P-1|", b"|P-0|")
    for number in (b"1", b"2"):
        assert (
            read(door.take(booking.replace(b"A-1", b"A-" + number).replace(b"C1", b"C" + number))).get("MSA-1") == "AA"
        )
    with db.read() as session:
        assert recognize(session, keys, Named(appointments=("P-0",), placers=("P-0",))).appointment is None
