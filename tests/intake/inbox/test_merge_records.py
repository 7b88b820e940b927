"""Merged record numbers are one patient's in any order of messages, also at erasure."""

from __future__ import annotations

import itertools
from pathlib import Path

from sqlmodel import select

from intake.inbox.merge_records import merge_records
from intake.inbox.receive import Disposition, receive
from store.engine import Database
from store.erasure import erase_patient
from store.facts import identity_of
from store.identifiers import Hint
from store.keys import Keyring
from store.tables import AlertRecord, Encounter, Inbox, Quarantine, RecordMerge
from tests.kit import events as e
from tests.kit.databases import fresh_database


def admission(number: int, mrn: str) -> tuple[e.Event, Hint]:
    """A stay that only its record number ties to anybody."""
    data = {"admission_id": f"V-{number}", "facility": "st_mary", "at": "2026-03-10T09:00:00Z", "class": "inpatient"}
    event = e.event(f"adm-{number}", "cart.admission.started", data, subject=f"V-{number}")
    return event, Hint(mrn, infusion_facility())


def infusion_facility() -> str:
    return str(e.referral()["data"]["facilities"]["infusion"])


def test_any_order_of_merges_referral_and_stays_ends_alike(tmp_path: Path, keys: Keyring) -> None:
    def refer(db: Database) -> None:
        receive(db, keys, e.referral(mrn="M-1"), e.NOW, "t")

    def admit(db: Database, number: int, mrn: str) -> None:
        event, hint = admission(number, mrn)
        receive(db, keys, event, e.NOW, "t", hint)

    def merge(db: Database, old: str, new: str) -> None:
        merge_records(db, keys, old, new, infusion_facility(), "registration", e.NOW)

    steps = (
        refer,
        lambda db: admit(db, 1, "M-2"),
        lambda db: admit(db, 2, "M-3"),
        lambda db: merge(db, "M-1", "M-2"),
        lambda db: merge(db, "M-2", "M-3"),
    )
    for order in itertools.permutations(steps):
        db = fresh_database(tmp_path)
        for step in order:
            step(db)
        with db.read() as session:
            assert len(session.exec(select(Encounter)).all()) == 1
            assert len(session.exec(select(Inbox)).all()) == 3
            assert {row.state for row in session.exec(select(Quarantine))} <= {"released"}
            assert session.exec(select(AlertRecord)).all() == []
        db.close()


def test_erasing_a_patient_erases_what_is_kept_under_every_merged_number(db: Database, keys: Keyring) -> None:
    first = str(receive(db, keys, e.referral("r-1", "ORD-1", mrn="M-1"), e.NOW, "t").encounter_id)
    second = str(receive(db, keys, e.referral("r-2", "ORD-2", mrn="M-2"), e.NOW, "t").encounter_id)
    merge_records(db, keys, "M-1", "M-2", infusion_facility(), "registration", e.NOW)
    with db.write() as session:
        assert session.exec(select(AlertRecord.kind)).all() == ["two_encounters"]
        for encounter in (first, second):
            session.get_one(Encounter, encounter).status = "closed"
    assert sorted(erase_patient(db, keys, first, "privacy officer", e.NOW)) == sorted([first, second])
    with db.read() as session:
        assert session.exec(select(RecordMerge)).all() == []
        for encounter in (first, second):
            identity = identity_of(session, keys, encounter)
            assert identity is not None
            assert identity["erased"]


def test_the_other_number_of_a_merged_patient_is_not_another_patient(db: Database, keys: Keyring) -> None:
    opened = receive(db, keys, e.referral("r-1", "ORD-1", mrn="M-1"), e.NOW, "t").encounter_id
    other = receive(db, keys, e.referral("r-2", "ORD-1", mrn="M-2"), e.NOW, "t")
    assert (other.disposition, other.encounter_id) == (Disposition.QUARANTINED, None)
    assert merge_records(db, keys, "M-2", "M-1", infusion_facility(), "registration", e.NOW) == 1
    with db.read() as session:
        assert session.exec(select(Quarantine.state)).all() == ["released"]
    again = receive(db, keys, e.referral("r-3", "ORD-1", mrn="M-2"), e.NOW, "t")
    assert (again.disposition, again.encounter_id) == (Disposition.ACCEPTED, opened)
