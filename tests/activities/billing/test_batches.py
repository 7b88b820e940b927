"""Claims to one partner in one interchange: which join, when it closes, and that its file is written once by whoever comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from activities.billing import transmit
from domain.billing.x12.validation import guide_findings
from intake.payer_files.importer import PayerFileImporter
from store.batches import take_place
from store.tables import Batch, ClaimVersion, Transmission
from tests.kit.claims import LATER, encounter_of, files
from tests.kit.files import SAMPLES, SITE_FILE
from tests.kit.recorder import Recorder, recorder
from workflows.messages import ClaimFollowUp, ClaimMoment

WINDOW = 30
AFTER = LATER + timedelta(minutes=WINDOW)
Opened = Callable[[], AbstractAsyncContextManager[Recorder]]


@pytest.fixture
def batching(tmp_path: Path) -> Opened:
    """A recorder whose site lets claims of one partner share an interchange for half an hour."""
    site = tmp_path / "site.toml"
    text = SITE_FILE.read_text(encoding="utf-8").replace("batch_minutes = 0", f"batch_minutes = {WINDOW}")
    site.write_text(text, encoding="utf-8")

    @asynccontextmanager
    async def opened() -> AsyncIterator[Recorder]:
        async with recorder(tmp_path, site=site) as made:
            yield made

    return opened


def send(r: Recorder, encounter: str, letter: str, now: datetime = LATER) -> ClaimFollowUp:
    return r.activities.claim_life.transmit_claim(ClaimMoment(encounter=encounter, letter=letter, ordinal=1, now=now))


def sent(r: Recorder) -> list[tuple[str, int, int]]:
    with r.service.db.read() as session:
        rows = session.exec(select(Transmission).order_by(Transmission.interchange, Transmission.set_number)).all()
    return [(row.letter, row.interchange, row.set_number) for row in rows]


def places(path: Path) -> list[str]:
    return [line.split("*")[2] for line in path.read_text().splitlines() if line.startswith("ST*")]


async def test_claims_of_one_partner_share_an_interchange_that_is_written_when_it_closes(batching: Opened) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        for letter in "ABC":
            standing = send(r, encounter, letter)
            assert (standing.state, standing.send) == ("transmitted", False)
            assert (standing.due, standing.due_title) == (AFTER, "the batch of the trading partner closes")
        assert files(r) == []
        assert sent(r) == [("A", 1, 1), ("B", 1, 2), ("C", 1, 3)]
        assert r.activities.claim_life.follow_claim(
            ClaimMoment(encounter=encounter, letter="B", ordinal=1, now=AFTER)
        ).send
        assert send(r, encounter, "B", AFTER).send is False
        (path,) = files(r)
        assert path.name == "EXMACJK-000000001.x12"
        assert places(path) == ["0001", "0002", "0003"]
        assert guide_findings(path.read_text()) == []
        before = (path.read_bytes(), path.stat().st_ino)
        for letter in "ABC":
            assert send(r, encounter, letter, AFTER + timedelta(hours=1)).send is False
        assert (path.read_bytes(), path.stat().st_ino) == before
        with r.service.db.read() as session:
            assert all(row.written_at for row in session.exec(select(Transmission)))
            assert [batch.written_at for batch in session.exec(select(Batch))] == [AFTER]


async def test_a_batch_that_closed_takes_no_more_and_the_next_one_has_the_next_number(batching: Opened) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        send(r, encounter, "A")
        send(r, encounter, "A", AFTER)
        assert send(r, encounter, "B", LATER).state == "transmitted"
        assert send(r, encounter, "C", AFTER).state == "transmitted"
        assert sent(r) == [("A", 1, 1), ("B", 2, 1), ("C", 3, 1)]
        for letter in "BC":
            send(r, encounter, letter, AFTER + timedelta(minutes=WINDOW))
        assert [places(path) for path in files(r)] == [["0001"]] * 3


async def test_another_form_or_partner_has_its_own_interchange(batching: Opened) -> None:
    async with batching() as r:
        asked = [("EXMACJK", "medicare", "UB-04"), ("EXMACJK", "medicare", "CMS-1500"), ("EXCLEAR01", "aetna", "UB-04")]
        with r.service.db.write() as session:
            given = [take_place(session, "shadow", *one, WINDOW, LATER).interchange for one in (*asked, asked[0])]
        assert given == [1, 2, 1, 1]


async def test_workers_beside_each_other_fill_and_write_a_batch_once(batching: Opened) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda letter: send(r, encounter, letter), "ABCABCABC"))
        assert [(number, place) for _, number, place in sent(r)] == [(1, 1), (1, 2), (1, 3)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda letter: send(r, encounter, letter, AFTER), "ABCABCABC"))
        assert len(files(r)) == 1


async def test_a_crash_between_writing_and_reporting_leaves_one_file_and_a_full_outbox_is_tried_again(
    batching: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        for letter in "AB":
            send(r, encounter, letter)

        def full(*_given: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(transmit, "write_once", full)
            with pytest.raises(OSError, match="No space"):
                send(r, encounter, "A", AFTER)
        assert send(r, encounter, "C", AFTER).due == AFTER + timedelta(minutes=WINDOW)
        send(r, encounter, "B", AFTER)
        (path,) = files(r)
        with r.service.db.write() as session:
            session.exec(select(Batch).where(Batch.interchange == 1)).one().written_at = None
            for row in session.exec(select(Transmission)):
                row.written_at = None
        before = path.stat().st_ino
        send(r, encounter, "A", AFTER + timedelta(days=1))
        assert (path.stat().st_ino, places(path)) == (before, ["0001", "0002"])


async def test_a_version_that_was_superseded_in_an_open_batch_still_goes_out(batching: Opened) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        send(r, encounter, "C")
        with r.service.db.write() as session:
            first = session.get_one(ClaimVersion, (encounter, "C", 1, 1))
            values = first.model_dump() | {"version": 2, "frequency": "7", "state": "emitted", "standing": {}}
            session.add(ClaimVersion(**values | {"control_number": "CE0000000099", "content_hash": "other"}))
            first.state = "superseded"
        moment = ClaimMoment(encounter=encounter, letter="C", ordinal=1, now=AFTER)
        assert r.activities.claim_life.follow_claim(moment).send
        send(r, encounter, "C", AFTER)
        assert [places(path) for path in files(r)] == [["0001"]]
        assert sent(r) == [("C", 1, 1)]


async def test_a_999_answers_the_one_claim_of_a_batch_that_it_names_and_a_refused_group_all_of_them(
    batching: Opened,
) -> None:
    async with batching() as r:
        encounter = await encounter_of(r)
        for letter in "ABC":
            send(r, encounter, letter)
        send(r, encounter, "A", AFTER)
        taker = PayerFileImporter(r.service.db, r.service.keys, r.service.config.site)
        one = (SAMPLES / "accepted.999.x12").read_text().replace("@INTERCHANGE@", "1")
        numbers = {row.letter: row.control_number for row in _rows(r)}

        def answered(text: str) -> list[str]:
            return [event["data"]["control_number"] for event in taker.events(text.encode())]

        assert answered(one.replace("AK2*837*0001", "AK2*837*0002")) == [numbers["B"]]
        group = one.replace("AK2*837*0001*005010X223A2~\nIK5*A~\n", "").replace("AK9*A*1*1*1", "AK9*R*3*3*0")
        assert sorted(answered(group.replace("SE*6", "SE*4"))) == sorted(numbers.values())


def _rows(r: Recorder) -> list[Transmission]:
    with r.service.db.read() as session:
        return list(session.exec(select(Transmission)))
