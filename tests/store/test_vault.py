"""Keys change without losing a byte; a patient is erased without losing a bill."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, inspect
from sqlmodel import SQLModel, select

from activities.store import rotation
from activities.store.chain import append_custody, first_break
from activities.store.engine import Database
from activities.store.erasure import StillOpen, erase_patient
from activities.store.facts import identity_of, load_facts
from activities.store.inbox import Disposition, receive
from activities.store.keys import KeyFileError, Keyring, SealBroken, create_keyring
from activities.store.tables import AuditEntry, CustodyRecord, Encounter, Quarantine
from domain.decision import CustodyEntry
from domain.facts import fold
from tests.store import examples as e


def seen(db: Database, keys: Keyring, encounter: str) -> list[Any]:
    own, holders = load_facts(db, keys, encounter, 10_000)
    return [(fact.event_id, fact.occurred, fact.data) for fact in (*fold(own).all, *holders)]


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
    assert binary == {sealed.name for sealed in rotation.SEALED}


def test_a_rotation_seals_everything_anew_and_the_old_key_opens_nothing_more(
    db: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    old = rotation.read_keyring(key_file)
    encounter = str([receive(db, old, event, e.NOW, "t").encounter_id for event in e.feed()][-1])
    receive(db, old, e.custody("lost", subject="nobody", coi="nobody"), e.NOW, "t")
    with db.write() as session:
        append_custody(session, old, encounter, [CustodyEntry("k", e.NOW, {"by": "Jane Doe"})], e.NOW)
    before = seen(db, old, encounter)

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
    assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600
    assert receive(db, only_new, e.referral(), e.NOW, "t").disposition is Disposition.DUPLICATE


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


def test_what_comes_again_after_erasure_is_still_a_duplicate(db: Database, keys: Keyring) -> None:
    encounter = fill(db, keys)
    with db.write() as session:
        session.get_one(Encounter, encounter).status = "closed"
    erase_patient(db, keys, encounter, "privacy officer", e.NOW)
    receipts = [receive(db, keys, event, e.NOW, "t") for event in e.feed()]
    assert {receipt.disposition for receipt in receipts} == {Disposition.DUPLICATE}
