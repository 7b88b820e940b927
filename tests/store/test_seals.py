"""What is sealed stays as it was, or is named: by row, in every ledger, on both engines."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update
from sqlmodel import Session, select

from app.process.sealing import BROKEN, SealWriter
from store import seals
from store.engine import Database
from store.keys import Keyring, create_keyring
from store.seals import BY_NAME, LEDGERS, Signer, check, removed, replaced, seal_batch
from store.tables import (
    AlertRecord,
    AuditEntry,
    ClaimLine,
    ClaimVersion,
    Encounter,
    Inbox,
    SealedBatch,
    SealedRemoval,
    Transmission,
)
from store.vault import audit
from tests.kit import events as e
from tests.kit.databases import fresh_database
from tests.kit.rows import alert_row, claim_row

NOW = e.NOW


def fill(db: Database, first: int = 0, count: int = 5) -> None:
    """Rows of every ledger: audit entries, events, resolved alerts, claims that were sent."""
    with db.write() as session:
        for n in range(first, first + count):
            audit(session, f"caller {n}", "GET /v1/claims", f"enc_{n}", "read", NOW + timedelta(seconds=n))
            session.add(
                Inbox(
                    event_id=f"evt_{n}",
                    dedupe_key=f"d{n}",
                    body_hash=f"h{n}",
                    type="cart.charge.posted",
                    feed="billing",
                    subject_key=f"s{n}",
                    time=NOW,
                    received_at=NOW,
                    body=b"sealed",
                )
            )
            worked = {"acknowledged_at": NOW + timedelta(minutes=9), "acknowledged_by": "coordinator"}
            session.add(alert_row(f"alr_{n}", state="resolved", resolved_at=NOW + timedelta(hours=1), **worked))
            session.add(Encounter(encounter_id=f"enc_{n}", created_at=NOW))
            session.flush()
            row = claim_row(f"enc_{n}", "C", 1, 1, "transmitted")
            row.control_number = f"CE{n:010d}"
            session.add(row)
            session.add(
                ClaimLine(
                    encounter_id=f"enc_{n}",
                    letter="C",
                    ordinal=1,
                    version=1,
                    number=1,
                    revenue_code="0891",
                    hcpcs="Q2053",
                    units=1,
                    charge=500000 + n,
                    date_of_service=NOW.date(),
                    rule="services.product",
                )
            )
            session.add(
                Transmission(
                    encounter_id=f"enc_{n}",
                    letter="C",
                    ordinal=1,
                    version=1,
                    control_number=f"CE{n:010d}",
                    mode="live",
                    receiver_id="MEDA",
                    interchange=n + 1,
                    payer="medicare",
                    created_at=NOW,
                    written_at=NOW,
                )
            )


def seal_all(db: Database, keys: Keyring) -> int:
    return sum(iter(lambda: sum(seal_batch(db, keys, one, NOW) for one in LEDGERS), 0))


def faults(db: Database, keys: Keyring) -> list[str]:
    public = Signer(keys).public
    with db.read() as session:
        return [f"{one.name}: {fault}" for one in LEDGERS for fault in check(session, one, public).faults]


def change(db: Database, act: Callable[[Session], Any]) -> None:
    with db.write() as session:
        act(session)


def test_rows_are_sealed_once_and_intact(db: Database, keys: Keyring) -> None:
    fill(db)
    assert seal_all(db, keys) == 35
    assert seal_all(db, keys) == 0
    assert faults(db, keys) == []
    fill(db, first=5)
    assert seal_all(db, keys) == 35
    assert faults(db, keys) == []


CHANGES: dict[str, tuple[str, Callable[[Session], Any]]] = {
    "an audit entry is changed": (
        "audit: batch 1, row aud_",
        lambda s: s.execute(update(AuditEntry).where(AuditEntry.actor == "caller 3").values(outcome="denied")),
    ),
    "an audit entry is deleted": (
        "audit: batch 1, row aud_",
        lambda s: s.execute(delete(AuditEntry).where(AuditEntry.actor == "caller 3")),
    ),
    "an audit entry is inserted into a sealed batch": (
        "audit: batch 1, row aud_x: the row was inserted",
        lambda s: s.add(
            AuditEntry(audit_id="aud_x", at=NOW, actor="a", action="b", target="c", outcome="d", sealed_in=1)
        ),
    ),
    "a row names a batch that does not exist": (
        "audit: batch 2, row aud_x",
        lambda s: s.add(
            AuditEntry(audit_id="aud_x", at=NOW, actor="a", action="b", target="c", outcome="d", sealed_in=99)
        ),
    ),
    "a charge is changed": (
        "submissions: batch 1, row enc_2/C/1/1: the row is not what was sealed",
        lambda s: s.execute(update(ClaimLine).where(ClaimLine.encounter_id == "enc_2").values(charge=1)),
    ),
    "a claim's payer is changed": (
        "submissions: batch 1, row enc_2/C/1/1",
        lambda s: s.execute(update(ClaimVersion).where(ClaimVersion.encounter_id == "enc_2").values(payer="other")),
    ),
    "an interchange number is changed": (
        "submissions: batch 1, row enc_2/C/1/1",
        lambda s: s.execute(update(Transmission).where(Transmission.encounter_id == "enc_2").values(interchange=77)),
    ),
    "a submission is deleted": (
        "submissions: batch 1, row enc_2/C/1/1: the row is missing",
        lambda s: s.execute(delete(Transmission).where(Transmission.encounter_id == "enc_2")),
    ),
    "an event is deleted": (
        "inbox: batch 1, row evt_4: the row is missing",
        lambda s: s.execute(delete(Inbox).where(Inbox.event_id == "evt_4")),
    ),
    "an event's body is exchanged": (
        "inbox: batch 1, row evt_4",
        lambda s: s.execute(update(Inbox).where(Inbox.event_id == "evt_4").values(body_hash="h3")),
    ),
    "the stored content of an event is changed": (
        "contents: batch 1, row evt_4: the row is not what was sealed",
        lambda s: s.execute(update(Inbox).where(Inbox.event_id == "evt_4").values(body=b"sealeD")),
    ),
    "who acknowledged an alert is changed": (
        "alerts acknowledged: batch 1, row alr_1: the row is not what was sealed",
        lambda s: s.execute(update(AlertRecord).where(AlertRecord.alert_id == "alr_1").values(acknowledged_by="x")),
    ),
    "an acknowledgment is taken away": (
        "alerts acknowledged: batch 1, row alr_1: the row is not what was sealed",
        lambda s: s.execute(update(AlertRecord).where(AlertRecord.alert_id == "alr_1").values(acknowledged_at=None)),
    ),
    "an alert is deleted": (
        "alerts: batch 1, row alr_1: the row is missing",
        lambda s: s.execute(delete(AlertRecord).where(AlertRecord.alert_id == "alr_1")),
    ),
    "an alert's end is changed": (
        "alerts resolved: batch 1, row alr_1",
        lambda s: s.execute(update(AlertRecord).where(AlertRecord.alert_id == "alr_1").values(acknowledged_by="x")),
    ),
    "a mark is taken away": (
        "inbox: batch 1, row evt_4: the row is missing",
        lambda s: s.execute(update(Inbox).where(Inbox.event_id == "evt_4").values(sealed_in=None)),
    ),
    "a batch is deleted": (
        "inbox: batch 1, row evt_",
        lambda s: s.execute(delete(SealedBatch).where(SealedBatch.ledger == "inbox")),
    ),
    "the entries of a batch are changed": (
        "inbox: batch 1: the batch is not what was sealed",
        lambda s: s.execute(update(SealedBatch).where(SealedBatch.ledger == "inbox").values(entries="[]")),
    ),
    "a removal is forged": (
        "audit: batch 0, row rem_x: the removal is not signed",
        lambda s: s.add(
            SealedRemoval(
                removal_id="rem_x", ledger="audit", row_keys=["a"], reason="r", actor="a", at=NOW, signature=b"x" * 64
            )
        ),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_afterwards_is_named(db: Database, keys: Keyring, name: str) -> None:
    expected, act = CHANGES[name]
    fill(db)
    seal_all(db, keys)
    change(db, act)
    found = faults(db, keys)
    assert found, name
    assert any(one.startswith(expected) for one in found) or (name == "a batch is deleted" and "inbox" in found[0]), (
        found
    )


def test_a_batch_that_was_made_again_without_the_key_is_found(db: Database, keys: Keyring, tmp_path: Any) -> None:
    fill(db)
    seal_all(db, create_keyring(tmp_path / "other.json"))
    assert faults(db, keys)[0] == "audit: batch 1: the signature is not of this installation's key file"


def test_a_removed_end_is_found_against_an_earlier_head(db: Database, keys: Keyring) -> None:
    fill(db)
    seal_all(db, keys)
    fill(db, first=5)
    seal_all(db, keys)
    with db.read() as session:
        earlier = seals.heads(session)["audit"]

    def cut(session: Session) -> None:
        session.execute(delete(AuditEntry).where(AuditEntry.sealed_in == earlier[0]))
        session.execute(delete(SealedBatch).where(SealedBatch.ledger == "audit", SealedBatch.position == earlier[0]))

    change(db, cut)
    assert faults(db, keys) == [], "nothing in the database remembers it"
    with db.read() as session:
        state = check(session, BY_NAME["audit"], Signer(keys).public, dict([earlier]))
    assert [str(fault) for fault in state.faults] == ["batch 2: a batch of the earlier check is missing"]


def test_a_removal_by_the_installation_is_no_fault_and_excuses_only_its_rows(db: Database, keys: Keyring) -> None:
    fill(db)
    seal_all(db, keys)
    with db.write() as session:
        first, second, *_ = session.exec(select(AuditEntry.audit_id).order_by(AuditEntry.actor)).all()
        removed(session, keys, "audit", [first], "retention period over", "operator", NOW)
        session.execute(delete(AuditEntry).where(AuditEntry.audit_id == first))
    seal_all(db, keys)
    assert faults(db, keys) == []
    change(db, lambda s: s.execute(delete(AuditEntry).where(AuditEntry.audit_id == second)))
    assert faults(db, keys) == [f"audit: batch 1, row {second}: the row is missing"]
    change(db, lambda s: s.execute(delete(SealedRemoval)))
    found = faults(db, keys)
    assert f"audit: batch 1, row {first}: the row is missing" in found
    assert any(one.startswith("removals: batch 1") for one in found)


def test_content_that_is_sealed_while_it_is_replaced_is_no_fault(db: Database, keys: Keyring) -> None:
    """An erasure loads an event before the writer seals it, and writes it afterwards."""
    fill(db, count=3)
    contents = BY_NAME["contents"]
    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            rows = session.exec(select(Inbox).order_by(Inbox.event_id)).all()
            sealing = pool.submit(seal_batch, db, keys, contents, NOW)
            wait([sealing], timeout=1)
            replaced(session, keys, contents, rows, "patient erased", "operator")
            for row in rows:
                row.body = b"erased"
                session.add(row)
        sealing.result(timeout=20)
    seal_all(db, keys)
    assert faults(db, keys) == []


def test_what_is_not_sealed_yet_is_counted_and_named(db: Database, keys: Keyring) -> None:
    fill(db, count=2)
    with db.read() as session:
        state = check(session, BY_NAME["inbox"], None)
    assert (state.unsealed, state.oldest_unsealed, state.unsealed_keys) == (2, NOW, ("evt_0", "evt_1"))


def test_a_claim_whose_file_is_not_written_and_an_open_alert_are_not_complete(db: Database, keys: Keyring) -> None:
    fill(db, count=1)
    change(db, lambda s: s.execute(update(Transmission).values(written_at=None)))
    opened = {"state": "open", "resolved_at": None, "acknowledged_at": None, "acknowledged_by": None}
    change(db, lambda s: s.execute(update(AlertRecord).values(**opened)))
    seal_all(db, keys)
    with db.read() as session:
        sealed = set(session.exec(select(SealedBatch.ledger)).all())
    assert sealed == {"audit", "inbox", "contents", "alerts"}


def test_the_file_that_a_payer_got_is_sealed_by_its_digest(db: Database, keys: Keyring) -> None:
    fill(db)
    change(db, lambda s: s.execute(update(Transmission).values(file_digest="f" * 64)))
    seal_all(db, keys)
    other = update(Transmission).where(Transmission.encounter_id == "enc_3").values(file_digest="e" * 64)  # type: ignore[arg-type]
    change(db, lambda s: s.execute(other))
    assert faults(db, keys) == ["submissions: batch 1, row enc_3/C/1/1: the row is not what was sealed"]


@pytest.mark.sqlite("SQLite keeps a moment as text, which has more than one spelling")
@pytest.mark.parametrize("table", ["audit SET at = replace(at", "sealed_batches SET sealed_at = replace(sealed_at"])
def test_a_moment_in_another_spelling_is_found(store: tuple[Database, Keyring], table: str) -> None:
    db, keys = store
    fill(db, count=2)
    seal_all(db, keys)
    change(db, lambda s: s.execute(text(f"UPDATE {table}, ' ', 'T')")))
    assert faults(db, keys)


@pytest.mark.parametrize("db", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_the_writer_does_not_wait_for_rows_that_a_request_holds(db: Database, keys: Keyring) -> None:
    fill(db)
    with db.write() as request:
        request.exec(select(AlertRecord).where(AlertRecord.alert_id == "alr_2").with_for_update()).one()
        assert seal_batch(db, keys, BY_NAME["alerts"], NOW) == 4
    assert seal_batch(db, keys, BY_NAME["alerts"], NOW) == 1
    assert faults(db, keys) == []


def test_two_writers_seal_each_row_once_while_others_write(db: Database, keys: Keyring) -> None:
    """Rows that are committed late, with an earlier time than sealed ones, are sealed, too."""

    async def all_at_once() -> None:
        def add(n: int) -> None:
            fill(db, first=n * 10, count=3)

        def work() -> None:
            for _ in range(6):
                for ledger in LEDGERS:
                    seal_batch(db, keys, ledger, NOW)

        await asyncio.gather(
            *(asyncio.to_thread(add, n) for n in range(6)), *(asyncio.to_thread(work) for _ in range(2))
        )

    asyncio.run(all_at_once())
    seal_all(db, keys)
    assert faults(db, keys) == []
    with db.read() as session:
        states = [check(session, ledger, Signer(keys).public) for ledger in LEDGERS[:5]]
    assert [(state.rows, state.unsealed) for state in states] == [(18, 0)] * 5


@pytest.mark.sqlite("changes values as text; by columns it is tested on both above")
@settings(max_examples=25)
@given(st.data())
def test_any_byte_of_any_sealed_value_is_covered(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("seals")
    db, keys = fresh_database(directory), create_keyring(directory / "keys.json")
    fill(db, count=4)
    seal_all(db, keys)
    table, column = data.draw(st.sampled_from(SEALED_TEXT))
    with db.write() as session:
        values = session.execute(text(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL")).all()
        row, value = data.draw(st.sampled_from([tuple(one) for one in values]))
        at = data.draw(st.integers(0, len(str(value)) - 1))
        other = "1" if str(value)[at] != "1" else "2"
        changed = str(value)[:at] + other + str(value)[at + 1 :]
        statement = text(f"UPDATE OR REPLACE {table} SET {column} = :v WHERE rowid = :r")
        session.execute(statement, {"v": changed, "r": row})
    with contextlib.suppress(ValueError):  # the value can no longer be read at all: no one overlooks that
        assert faults(db, keys)
    db.close()


SEALED_TEXT = [
    *((name, column) for name in ("audit",) for column in ("audit_id", "at", "actor", "action", "target", "outcome")),
    *(("inbox", column) for column in ("event_id", "dedupe_key", "body_hash", "type", "feed", "received_at")),
    *(("transmissions", column) for column in ("control_number", "mode", "receiver_id", "payer", "created_at")),
    *(("claim_lines", column) for column in ("hcpcs", "revenue_code", "date_of_service")),
    *(("claims", column) for column in ("form", "payer", "frequency", "control_number")),
    *(("alerts", column) for column in ("alert_id", "key", "kind", "opened_at", "resolved_at")),
    *(("alerts", column) for column in ("acknowledged_at", "acknowledged_by")),
    *(("sealed_batches", column) for column in ("ledger", "sealed_at", "entries", "previous_hash", "hash")),
]


async def test_the_writer_seals_and_finds_a_broken_batch_by_itself(db: Database, keys: Keyring) -> None:
    fill(db)
    writer = SealWriter(db, keys, lambda: NOW)
    assert await writer.round() == 35
    assert BROKEN.labels(ledger="audit")._value.get() == 0
    doomed = random.Random(4).randrange(5)
    change(db, lambda s: s.execute(delete(AuditEntry).where(AuditEntry.actor == f"caller {doomed}")))
    await writer.round()
    await writer.round()
    assert BROKEN.labels(ledger="audit")._value.get() == 1
