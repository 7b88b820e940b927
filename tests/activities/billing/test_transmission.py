"""A claim is numbered and written once, whatever is retried, killed, full or done by two at a time."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from activities.billing import transmit
from domain.billing.x12 import validate
from store.outbox import write_once
from store.outbox_index import Entry, OutboxIndex
from store.tables import AlertRecord, ClaimVersion, Counter, Encounter, Transmission
from tests.kit.claims import LATER, encounter_of, files, send, sent
from tests.kit.files import SITE_FILE
from tests.kit.postgres import Outage
from tests.kit.recorder import NOW, Recorder, feed, recorder
from workflows.messages import ClaimQuestion


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


def open_texts(r: Recorder) -> list[str]:
    with r.service.db.read() as session:
        return list(session.exec(select(AlertRecord.action).where(AlertRecord.state == "open")))


async def test_the_bill_hold_is_kept_and_the_file_name_states_the_sender_and_no_patient(r: Recorder) -> None:
    encounter = await encounter_of(r)
    assert send(r, encounter, now=NOW + timedelta(days=3)).state == "emitted"
    assert files(r) == []
    assert send(r, encounter).state == "transmitted"
    (path,) = files(r)
    assert path.relative_to(r.activities.claim_life.outbox).as_posix() == "shadow/medicare/EXMACJK-000000001.x12"
    assert path.stat().st_mode & 0o077 == 0
    assert validate(path.read_text()) == []


async def test_a_retry_after_the_commit_sends_nothing_twice(r: Recorder) -> None:
    encounter = await encounter_of(r)
    for _ in range(3):
        assert send(r, encounter).state == "transmitted"
    assert [row.interchange for row in sent(r)] == [1]
    assert len(files(r)) == 1


async def test_a_full_outbox_keeps_the_number_and_the_retry_writes_the_same_file(
    r: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encounter = await encounter_of(r)

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transmit, "write_once", full)
        with pytest.raises(OSError, match="No space"):
            send(r, encounter)
    assert [row.written_at for row in sent(r)] == [None]
    assert [text for text in open_texts(r) if "No space left" in text]
    assert send(r, encounter).state == "transmitted"
    assert not [text for text in open_texts(r) if "No space left" in text]
    assert send(r, encounter, "B").state == "transmitted"
    assert [row.interchange for row in sent(r)] == [1, 2]
    assert len(files(r)) == 2


async def test_killed_between_writing_and_reporting_the_file_stays_as_it_is(r: Recorder) -> None:
    encounter = await encounter_of(r)
    send(r, encounter)
    (path,) = files(r)
    before = (path.read_bytes(), path.stat().st_ino)
    with r.service.db.write() as session:
        session.exec(select(Transmission)).one().written_at = None
    send(r, encounter, now=LATER + timedelta(days=1))
    assert (path.read_bytes(), path.stat().st_ino) == before
    assert sent(r)[0].written_at is not None
    path.unlink()  # the transport picked it up
    with r.service.db.write() as session:
        session.exec(select(Transmission)).one().written_at = None
    send(r, encounter, now=LATER + timedelta(days=2))
    assert files(r) == [], "a file that went out is not written again"
    assert sent(r)[0].written_at is not None


async def test_workers_beside_each_other_send_each_claim_once_and_number_without_a_gap(r: Recorder) -> None:
    encounter = await encounter_of(r)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda letter: send(r, encounter, letter), "ABCABCABCABC"))
    assert [row.interchange for row in sent(r)] == [1, 2, 3]
    assert sorted(row.letter for row in sent(r)) == ["A", "B", "C"]
    assert len(files(r)) == 3
    assert all(validate(path.read_text()) == [] for path in files(r))


async def test_a_file_that_does_not_pass_gets_no_number_and_opens_an_alert(
    r: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encounter = await encounter_of(r)
    with monkeypatch.context() as patched:
        patched.setattr(transmit, "validate", lambda _file: ["NM109 is missing"])
        standing = send(r, encounter)
    assert standing.state == "emitted"
    assert standing.send
    assert standing.alerts == ("Claim C/1: Claim cannot be sent",)
    assert any("NM109" in text for text in open_texts(r))
    assert sent(r) == []
    assert files(r) == []
    assert send(r, encounter).alerts == ()
    assert [row.interchange for row in sent(r)] == [1]


async def test_building_again_or_by_two_at_a_time_makes_one_version_with_one_number(r: Recorder) -> None:
    encounter = await encounter_of(r)
    with r.service.db.read() as session:
        upto = session.get_one(Encounter, encounter).next_sequence - 1

    def build(letter: str) -> None:
        r.activities.build_claim(
            ClaimQuestion(encounter=encounter, letter=letter, ordinal=1, up_to_sequence=upto, now=NOW)
        )

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(build, "CBACBACBA"))
    await r.post(feed("a_mcl_medicare_inpatient"))
    r.decide(encounter, NOW)
    with r.service.db.read() as session:
        rows = session.exec(select(ClaimVersion)).all()
        counted = session.get_one(Counter, "claim control number").value
    assert sorted((row.letter, row.version) for row in rows) == [("A", 1), ("B", 1), ("C", 1)]
    assert counted == 3
    assert {row.control_number for row in rows} == {f"CE{n:010d}" for n in (1, 2, 3)}


@pytest.fixture
def outage() -> Iterator[Outage]:
    made = Outage()
    yield made
    made.close()


@pytest.mark.postgres
async def test_a_database_that_is_gone_for_a_while_costs_neither_a_number_nor_a_second_file(
    outage: Outage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorder(tmp_path, outage.server.create("cart")) as r:
        encounter = await encounter_of(r)
        outage.begins()
        for letter in "AB":
            with pytest.raises(OperationalError):
                send(r, encounter, letter)
        assert files(r) == []
        outage.ends()
        assert send(r, encounter, "A").state == "transmitted"

        def written_as_the_power_goes(index: OutboxIndex, entry: Entry, text: str) -> Entry:
            written = write_once(index, entry, text)
            outage.begins()
            return written

        with monkeypatch.context() as patched:
            patched.setattr(transmit, "write_once", written_as_the_power_goes)
            with pytest.raises(OperationalError):
                send(r, encounter, "B")
        outage.ends()
        before = {path: path.stat().st_ino for path in files(r)}
        assert send(r, encounter, "B").state == "transmitted"
        assert send(r, encounter, "C").state == "transmitted"
        assert {path: path.stat().st_ino for path in files(r)}.items() >= before.items()
        assert [(row.letter, row.interchange) for row in sent(r)] == [("A", 1), ("B", 2), ("C", 3)]
        assert all(row.written_at for row in sent(r))
        assert len(files(r)) == 3


@pytest.mark.parametrize(
    ("payer", "facility", "mark"), [("live", "live", "P"), ("live", "shadow", "T"), ("shadow", "live", "T")]
)
async def test_a_file_goes_live_only_where_payer_and_facility_do_and_each_outbox_counts_alone(
    tmp_path: Path, payer: str, facility: str, mark: str
) -> None:
    text = SITE_FILE.read_text(encoding="utf-8").replace('mode = "shadow"', f'mode = "{payer}"')
    (tmp_path / "site.toml").write_text(
        text.replace('key = "st_mary"\n', f'key = "st_mary"\nmode = "{facility}"\n', 1), encoding="utf-8"
    )
    async with recorder(tmp_path, site=tmp_path / "site.toml") as r:
        encounter = await encounter_of(r)
        assert send(r, encounter).state == "transmitted"
        (path,) = files(r)
        folder = "live" if mark == "P" else "shadow"
        assert path.relative_to(r.activities.claim_life.outbox).as_posix() == f"{folder}/medicare/EXMACJK-000000001.x12"
        assert path.read_text().splitlines()[0].split("*")[15] == mark
        preview = await r.http.get(f"/v1/encounters/{encounter}/claims/A", headers={"accept": "application/edi-x12"})
        assert preview.text.splitlines()[0].split("*")[15] == mark


async def test_no_draft_is_left_in_the_outbox(r: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    encounter = await encounter_of(r)

    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input"):
            send(r, encounter)
    assert files(r) == []
