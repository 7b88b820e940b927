"""Keys change without losing a byte; a patient is erased without losing a bill."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, inspect, update
from sqlmodel import SQLModel, select

from domain.custody.entries import CustodyEntry
from domain.encounter.facts import fold
from intake.inbox.quarantine import keep_raw
from intake.inbox.receive import Disposition, receive
from store import rotation
from store.chain import append_custody, first_break
from store.engine import Database
from store.erasure import StillOpen, erase_patient
from store.facts import identity_of, load_facts
from store.keys import KeyFileError, Keyring, SealBroken, create_keyring
from store.seals import LEDGERS, Signer, check, seal_batch
from store.tables import AuditEntry, ClaimVersion, CustodyRecord, Encounter, Inbox, Quarantine, sealed_for
from tests.kit import events as e
from tests.kit.rows import alert_row, claim_row


def seen(db: Database, keys: Keyring, encounter: str) -> list[Any]:
    own, holders = load_facts(db, keys, encounter, 10_000)
    return [(fact.event_id, fact.occurred, fact.data) for fact in (*fold(own).all, *holders)]


def verified(db: Database, keys: Keyring) -> None:
    """Seal everything; nothing is at fault then."""
    assert sum(iter(lambda: sum(seal_batch(db, keys, one, e.NOW) for one in LEDGERS), 0))
    assert faults(db, keys) == []


def faults(db: Database, keys: Keyring) -> list[str]:
    public = Signer(keys).public
    with db.read() as session:
        return [f"{one.name}: {fault}" for one in LEDGERS for fault in check(session, one, public).faults]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def test_every_sealed_column_is_resealed() -> None:
    binary = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    signatures = {name for name in binary if name.endswith(".signature")}  # they hide nothing
    assert binary - signatures == {sealed.name for sealed in rotation.SEALED}


def test_a_rotation_seals_everything_again_and_the_old_key_opens_nothing(
    db: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    old = rotation.read_keyring(key_file)
    encounter = str([receive(db, old, event, e.NOW, "t").encounter_id for event in e.feed()][-1])
    receive(db, old, e.custody("lost", subject="unmatched", coi="unmatched"), e.NOW, "t")
    with db.write() as session:
        append_custody(session, old, encounter, [CustodyEntry("k", e.NOW, {"by": "Jane Doe"})], e.NOW)
    before = seen(db, old, encounter)
    verified(db, old)

    staged = rotation.stage_key(key_file)
    assert staged.data_keys[0] == old.data_keys[0]
    assert rotation.reseal(db, staged) == dict.fromkeys(rotation.reseal(db, staged), 0)
    new = rotation.activate_key(key_file)
    assert new.data_keys == (staged.data_keys[1], staged.data_keys[0])
    counts = rotation.reseal(db, new)
    assert counts["inbox.body"] == 7
    assert counts["quarantine.body"] == counts["staff.value"] == counts["patients.identity"] == 1

    only_new = Keyring(new.data_keys[:1], new.hash_key)
    assert seen(db, only_new, encounter) == before
    with pytest.raises(SealBroken):
        seen(db, old, encounter)
    verified(db, new)
    assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600
    assert receive(db, only_new, e.referral(), e.NOW, "t").disposition is Disposition.DUPLICATE


def test_a_reseal_beside_writers_and_another_reseal_loses_nothing(
    db: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 3)
    old = rotation.read_keyring(key_file)
    for event in e.feed():
        receive(db, old, event, e.NOW, "t")
    rotation.stage_key(key_file)
    new = rotation.activate_key(key_file)
    later = [e.referral(f"r-{n}", f"ORD-{n + 10}", mrn=f"MRN-{n}") for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        reseals = [pool.submit(rotation.reseal, db, new) for _ in range(2)]
        receipts = list(pool.map(lambda event: receive(db, old, event, e.NOW, "t"), later))
        assert all(reseal.result()["inbox.body"] >= 0 for reseal in reseals)
    rotation.reseal(db, new)
    only_new = Keyring(new.data_keys[:1], new.hash_key)
    assert {receipt.disposition for receipt in receipts} == {Disposition.ACCEPTED}
    for receipt in receipts:
        assert len(seen(db, only_new, str(receipt.encounter_id))) >= 1
    assert {receive(db, only_new, event, e.NOW, "t").disposition for event in later} == {Disposition.DUPLICATE}


def test_a_damaged_key_file_is_not_touched(key_file: Path) -> None:
    key_file.write_text("{")
    with pytest.raises(KeyFileError):
        rotation.stage_key(key_file)
    assert key_file.read_text() == "{"


def all_plain_text(db: Database, keys: Keyring) -> str:
    """Every value of every table, opened where it is sealed."""
    found = []
    with db.read() as session:
        for sealed in rotation.SEALED:
            for row in session.exec(select(sealed.table)):
                value = getattr(row, sealed.column)
                if value is not None:
                    found.append(keys.open(value, f"{sealed.name}:{sealed.row(row)}").decode())
        for table in inspect(db.engine).get_table_names():
            found += [str(row) for row in session.connection().exec_driver_sql(f'SELECT * FROM "{table}"')]
    return "\n".join(found)


NEEDLES = ("CANARY", "Quetzalcoatl", "Xiomara", "1961-04", "ORD-1", "9 Canary")


def fill(db: Database, keys: Keyring) -> str:
    """A story with a correction of the referral, a conflict, an invalid event and one that waits, all of one patient."""
    first = e.referral()
    for event in e.feed():
        receive(db, keys, event, e.NOW, "t")
    fixed = json.loads(json.dumps(first["data"]))
    fixed["patient"]["name"]["given"] = "Xiomara Corrected"
    receive(db, keys, e.correction("corr-r", first, replacement=fixed), e.NOW, "t")
    receive(db, keys, {**first, "data": {**first["data"], "weight_kg": "71"}}, e.NOW, "t")
    receive(db, keys, {**first, "id": "broken", "data": {**first["data"], "weight_kg": "x"}}, e.NOW, "t")
    with db.read() as session:
        return session.exec(select(Encounter.encounter_id)).one()


def test_an_open_encounter_is_not_erased(db: Database, keys: Keyring) -> None:
    encounter = fill(db, keys)
    with pytest.raises(StillOpen):
        erase_patient(db, keys, encounter, "privacy officer", e.NOW)
    assert "Quetzalcoatl" in all_plain_text(db, keys)
    with pytest.raises(LookupError):
        erase_patient(db, keys, "enc_none", "privacy officer", e.NOW)


def test_erasure_leaves_no_identity_and_the_same_facts_otherwise(db: Database, keys: Keyring) -> None:
    encounter = fill(db, keys)
    with db.write() as session:
        session.get_one(Encounter, encounter).status = "closed"
        append_custody(session, keys, encounter, [CustodyEntry("k", e.NOW, {"coi_id": "COI-1"})], e.NOW)
    before = seen(db, keys, encounter)
    verified(db, keys)
    assert erase_patient(db, keys, encounter, "privacy officer", e.NOW) == [encounter]
    text = all_plain_text(db, keys)
    assert [needle for needle in NEEDLES if needle in text] == []

    after = seen(db, keys, encounter)
    assert [(event, at, type(data)) for event, at, data in after] == [
        (event, at, type(data)) for event, at, data in before
    ]
    referral, collection = (
        next(d for _, _, d in after if type(d).__name__ == n) for n in ("ReferralReceived", "ApheresisCompleted")
    )
    assert (referral.weight_kg, referral.patient.birth_date.year) == (70, 1961)
    assert collection.access.value == "central"
    with db.read() as session:
        who = identity_of(session, keys, encounter)
        assert who is not None
        assert who["erased"] is True
        assert first_break(session, encounter, session.exec(select(CustodyRecord)).all()) is None
        assert {row.state for row in session.exec(select(Quarantine))} == {"erased"}
        assert session.exec(select(AuditEntry)).one().action == "erase"
    verified(db, keys)
    with db.write() as session:
        session.execute(update(Inbox).values(body=b"another"))
    assert len(faults(db, keys)) == 8, "the erased contents are sealed as they are now"


HL7 = "MSH|^~\\&|A|B|||20260301||SIU^S12|1|P|2.5\rPID|1||{mrn}||{name}||{born}\rSCH|{order}"


def kept(db: Database, keys: Keyring, raw: str, state: str) -> str:
    with db.write() as session:
        row = keep_raw(session, keys, raw, "hl7v2:SIU^S12", "no mapping", e.NOW, "t")
        row.state = state
        return row.quarantine_id


def states(db: Database, *entries: str) -> list[str]:
    with db.read() as session:
        return [session.get_one(Quarantine, entry).state for entry in entries]


def closed(db: Database, keys: Keyring) -> tuple[str, dict[str, str]]:
    """A closed story and what recognises its patient."""
    encounter = fill(db, keys)
    patient = e.referral()["data"]["patient"]
    with db.write() as session:
        session.get_one(Encounter, encounter).status = "closed"
    name = f"{patient['name']['family']}^{patient['name']['given']}"
    born = patient["birth_date"].replace("-", "")
    return encounter, {"mrn": patient["mrn"], "name": name, "born": born, "order": "ORD-1"}


def test_originals_are_recognized_by_number_or_by_name_with_birth_date_and_no_other_is_lost(
    db: Database, keys: Keyring
) -> None:
    encounter, patient = closed(db, keys)
    stub = {"mrn": "0", "name": "Doe^Jane", "born": "19900101", "order": "1"}
    mine = [
        kept(db, keys, HL7.format(**stub | {"mrn": patient["mrn"]}), "unmapped"),
        kept(db, keys, HL7.format(**patient | {"mrn": "0", "order": "1"}), "released"),
        kept(db, keys, HL7.format(**patient | {"order": "2"}), "conflict"),
    ]
    others = [
        kept(db, keys, HL7.format(**stub), "unmapped"),
        kept(db, keys, HL7.format(**stub | {"mrn": patient["mrn"] + "7"}), "unmapped"),
        kept(db, keys, HL7.format(**stub | {"mrn": "1" + patient["mrn"]}), "released"),
        kept(db, keys, HL7.format(**stub | {"name": patient["name"]}), "unmapped"),
    ]
    erase_patient(db, keys, encounter, "privacy officer", e.NOW)
    assert states(db, *mine) == ["erased"] * 3
    assert states(db, *others) == ["unmapped", "unmapped", "released", "unmapped"]


def test_erasure_removes_the_patient_from_notes_claims_and_files_and_keeps_the_bill(
    db: Database, keys: Keyring, tmp_path: Path
) -> None:
    encounter, patient = closed(db, keys)
    approval = {"number": "PA-CANARY-7", "decision": "approved", "valid_from": "2026-03-01", "valid_to": "2026-06-01"}
    receive(db, keys, e.event("pa-1", "cart.authorization.decided", approval), e.NOW, "t")
    claim = claim_row(encounter, "A", 1, 1, "transmitted")
    claim.control_number = "CE0000000017"
    number = claim.document["lines"][0] | {"name": "authorization", "value": "PA-CANARY-7", "amount": "77.00"}
    claim.document = claim.document | {"fields": [number], "remarks": "for PA-CANARY-7 of the payer"}
    noted = alert_row(encounter_id=encounter, severity="info", owner="lab")
    noted.acknowledged_note = keys.seal(b"asked Xiomara", sealed_for("alerts.acknowledged_note", "alr_1"))
    with db.write() as session:
        session.add(claim)
        session.add(noted)
    files = {
        "outbox/live/p/R-1.x12": "CLM*CE0000000017*100~",
        "outbox/live/p/R-2.x12": "CLM*CE00000000170*100~",
        "inbox/processed/a.x12": "CLP*CE0000000017*1~CLP*CE9*1~",
        "inbox/quarantine/b.x12": f"NM1*QC*1*{patient['name'].split('^')[0].upper()}~DMG*D8*{patient['born']}~",
        "inbox/quarantine/b.json": '{"came_as": "Quetzalcoatl.835"}',
        "inbox/quarantine/c.x12": "CLP*CE9*1~",
        "inbox/quarantine/c.json": "{}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for _ in range(2):
        erase_patient(db, keys, encounter, "privacy officer", e.NOW, (tmp_path / "outbox", tmp_path / "inbox"))
    left = {name for name in files if (tmp_path / name).exists()}
    assert left == {"inbox/quarantine/c.json", "inbox/quarantine/c.x12", "outbox/live/p/R-2.x12"}
    text = all_plain_text(db, keys)
    assert [needle for needle in (*NEEDLES, "PA-CANARY-7", patient["mrn"]) if needle in text] == []
    with db.read() as session:
        after = session.exec(select(ClaimVersion)).one()
    field = after.document["fields"][0]
    assert (field["value"], field["hcpcs"], field["charge"], field["amount"]) == ("erased", "38225", "100.00", "77.00")
    assert (after.control_number, after.total, after.document["remarks"]) == ("CE0000000017", 100, "erased")


def test_numbers_that_join_events_still_do_after_erasure(db: Database, keys: Keyring) -> None:
    encounter = fill(db, keys)
    for name, appointment in (("b-2", "APPT-SAME"), ("b-3", "APPT-SAME"), ("b-4", "APPT-OTHER")):
        receive(db, keys, e.booking(name, "ORD-1", appointment), e.NOW, "t")
    with db.write() as session:
        session.get_one(Encounter, encounter).status = "closed"

    def appointments() -> list[str]:
        return [data.appointment_id for _, _, data in seen(db, keys, encounter) if hasattr(data, "appointment_id")]

    before = appointments()
    erase_patient(db, keys, encounter, "privacy officer", e.NOW)
    after = appointments()
    assert len(before) >= 3
    assert [one == two for one in before for two in before] == [one == two for one in after for two in after]
    assert [one < two for one in before for two in before] == [one < two for one in after for two in after]
    assert not [one for one in after if "APPT" in one]


def test_a_repeated_event_after_erasure_is_still_a_duplicate(db: Database, keys: Keyring) -> None:
    encounter = fill(db, keys)
    with db.write() as session:
        session.get_one(Encounter, encounter).status = "closed"
    erase_patient(db, keys, encounter, "privacy officer", e.NOW)
    receipts = [receive(db, keys, event, e.NOW, "t") for event in e.feed()]
    assert {receipt.disposition for receipt in receipts} == {Disposition.DUPLICATE}
