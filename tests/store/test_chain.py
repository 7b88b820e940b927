"""The chain of identity: what is appended, and that any tampering shows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from activities.store import chain
from activities.store.engine import Database
from activities.store.keys import Keyring
from activities.store.tables import CustodyRecord, Encounter, Staff
from domain.decision import CustodyEntry
from tests.store import examples as e

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


def test_doing_it_again_appends_nothing_and_a_late_record_goes_to_the_end(
    db: Database, keys: Keyring, encounter: str
) -> None:
    assert keep(db, keys, entry("a", 1), entry("c", 3)) == 2
    assert keep(db, keys, entry("a", 1), entry("c", 3)) == 0
    assert keep(db, keys, entry("a", 1), entry("b", 2), entry("c", 3)) == 1
    with db.read() as session:
        kept = records(session)
    assert [record.key for record in kept] == ["a", "c", "b"]
    assert [record.key for record in chain.standing_records(kept)] == ["a", "b", "c"]
    assert chain.verify(kept) is None


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
    assert chain.verify(kept) is None
    standing = chain.standing_records(kept)
    assert [json.loads(record.content)["location"] for record in standing] == ["Lab 2"]


def test_staff_stand_in_the_chain_under_pseudonyms(db: Database, keys: Keyring, encounter: str) -> None:
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


def linked(contents: list[str]) -> list[CustodyRecord]:
    previous, made = chain.GENESIS, []
    for position, content in enumerate(contents, start=1):
        digest = chain.link(previous, position, f"k{position}", content)
        made.append(
            CustodyRecord(
                encounter_id=ENCOUNTER,
                position=position,
                key=f"k{position}",
                kind="record",
                occurred=e.NOW,
                content=content,
                previous_hash=previous,
                hash=digest,
                recorded_at=e.NOW,
            )
        )
        previous = digest
    return made


@given(st.lists(st.text(max_size=8), min_size=2, max_size=8), st.data())
def test_any_edit_deletion_or_swap_is_found_at_its_position(contents: list[str], data: st.DataObject) -> None:
    assert chain.verify(linked(contents)) is None
    at = data.draw(st.integers(0, len(contents) - 2))
    edited = linked(contents)
    edited[at].content += "!"
    assert chain.verify(edited) == at + 1
    lost = linked(contents)
    del lost[at]
    assert chain.verify(lost) == at + 1
    swapped = linked(contents)
    swapped[at].position, swapped[at + 1].position = swapped[at + 1].position, swapped[at].position
    assert chain.verify(swapped) == at + 1
