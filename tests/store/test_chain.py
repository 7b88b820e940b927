"""The chain of identity: what is appended; any tampering is found."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete
from sqlmodel import Session, col, select

from app.cli.verify import chains_of
from domain.custody.entries import CustodyEntry
from domain.custody.ledger import check_chain, check_ledger
from intake.inbox.receive import receive
from store import chain
from store.engine import Database
from store.keys import Keyring
from store.tables import CustodyIndex, CustodyRecord, Encounter, Staff
from tests.kit import events as e

ENCOUNTER = "enc_test"


def entry(key: str, hours: int = 0, **content: object) -> CustodyEntry:
    return CustodyEntry(key, e.ANCHOR + timedelta(hours=hours), {"step": "packed", **content})


@pytest.fixture
def encounter(db: Database) -> str:
    with db.write() as session:
        session.add(Encounter(encounter_id=ENCOUNTER, created_at=e.NOW))
    return ENCOUNTER


def keep(db: Database, keys: Keyring, *entries: CustodyEntry) -> int:
    with db.write() as session:
        return chain.append_custody(session, keys, ENCOUNTER, entries, e.NOW)


def records(session: Session) -> list[CustodyRecord]:
    return list(session.exec(select(CustodyRecord).order_by(col(CustodyRecord.position))))


def test_repeating_appends_nothing_and_a_late_record_is_appended_last(
    db: Database, keys: Keyring, encounter: str
) -> None:
    assert keep(db, keys, entry("a", 1), entry("c", 3)) == 2
    assert keep(db, keys, entry("a", 1), entry("c", 3)) == 0
    assert keep(db, keys, entry("a", 1), entry("b", 2), entry("c", 3)) == 1
    with db.read() as session:
        kept = records(session)
    assert [record.key for record in kept] == ["a", "c", "b"]
    assert [record.key for record in chain.records_in_effect(kept)] == ["a", "b", "c"]
    assert check_chain(kept) is None


def test_a_change_is_a_correction_a_loss_is_a_retraction_and_both_keep_the_original(
    db: Database, keys: Keyring, encounter: str
) -> None:
    keep(db, keys, entry("a", location="Lab 1"))
    keep(db, keys, entry("a", location="Lab 2"))
    keep(db, keys)
    keep(db, keys)
    keep(db, keys, entry("a", location="Lab 2"))
    with db.read() as session:
        kept = records(session)
    assert [(record.key, record.kind) for record in kept] == [
        ("a", "record"),
        ("a#1", "correction"),
        ("a#2", "retraction"),
        ("a#3", "correction"),
    ]
    assert check_chain(kept) is None
    standing = chain.records_in_effect(kept)
    assert [json.loads(record.content)["location"] for record in standing] == ["Lab 2"]


def test_staff_are_in_the_chain_under_pseudonyms(db: Database, keys: Keyring, encounter: str) -> None:
    keep(db, keys, entry("a", by="Jane Doe", second_verifier="Jim Roe", verified_by=["Jane Doe", "Jim Roe"]))
    with db.read() as session:
        text = records(session)[0].content
        content = json.loads(text)
        assert "Doe" not in text
        assert content["verified_by"] == [content["by"], content["second_verifier"]]
        assert len(session.exec(select(Staff)).all()) == 2
    assert (
        keep(db, keys, entry("a", by=content["by"], second_verifier="Jim Roe", verified_by=content["verified_by"])) == 0
    )


def test_each_growth_is_indexed_and_a_removed_encounter_shows(db: Database, keys: Keyring, encounter: str) -> None:
    with db.write() as session:
        session.add(Encounter(encounter_id="enc_other", created_at=e.NOW))
    keep(db, keys, entry("a"), entry("b"))
    with db.write() as session:
        chain.append_custody(session, keys, "enc_other", [entry("x")], e.NOW)
    keep(db, keys, entry("a"), entry("b"), entry("c"))
    keep(db, keys, entry("a"), entry("b"), entry("c"))
    assert [(found.encounter_id, found.length) for found in index(db)] == [
        (ENCOUNTER, 2),
        ("enc_other", 1),
        (ENCOUNTER, 3),
    ]
    assert broken(db) == []
    with db.write() as session:
        session.execute(delete(CustodyRecord).where(col(CustodyRecord.encounter_id) == "enc_other"))
    assert broken(db) == [("enc_other", 1)]


def test_the_last_record_cannot_go_unseen(db: Database, keys: Keyring, encounter: str) -> None:
    keep(db, keys, entry("a"), entry("b"))
    with db.write() as session:
        session.execute(delete(CustodyRecord).where(col(CustodyRecord.position) == 2))
    with db.read() as session:
        found = chain.first_break(session, ENCOUNTER, records(session))
    assert found is not None
    assert (found.position, found.what) == (2, "the last records are missing")


def test_many_writers_make_one_index(db: Database, keys: Keyring) -> None:
    """Two scanners at one moment, and other encounters beside them: every link once, one line of entries."""
    names = [f"enc_{n}" for n in range(4)]
    with db.write() as session:
        session.add_all(Encounter(encounter_id=name, created_at=e.NOW) for name in names)

    def append(number: int) -> None:
        entries = [entry(f"k{step}") for step in range(6)]
        with db.write() as session:
            chain.append_custody(session, keys, names[number % 4], entries, e.NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(24)))
    with db.read() as session:
        assert len(records(session)) == 24
    assert [found.position for found in index(db)] == list(range(1, len(index(db)) + 1))
    assert broken(db) == []


def index(db: Database) -> list[CustodyIndex]:
    with db.read() as session:
        return list(session.exec(select(CustodyIndex).order_by(col(CustodyIndex.position))))


def broken(db: Database) -> list[tuple[str | None, int]]:
    with db.read() as session:
        chains = chains_of(
            session.exec(select(CustodyRecord).order_by(CustodyRecord.encounter_id, CustodyRecord.position))
        )
    return [(found.encounter_id, found.position) for found in check_ledger(chains, index(db))]


def test_a_stay_is_in_the_chain_under_a_constant_pseudonym(db: Database, keys: Keyring) -> None:
    encounter = str(receive(db, keys, e.referral(), e.NOW, "t").encounter_id)
    infused = CustodyEntry("k", e.NOW, {"step": "infused", "admission_id": "VISIT-4711"})
    for _ in range(2):
        with db.write() as session:
            chain.append_custody(session, keys, encounter, [infused], e.NOW)
    with db.read() as session:
        (record,) = session.exec(select(CustodyRecord).where(CustodyRecord.key == "k")).all()
    assert "VISIT-4711" not in record.content
    assert '"admission_id":"visit_' in record.content
