"""A database that is set back under running workers: nothing is sent under a number that was used, and nothing is sent twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from domain.billing.x12.claim_files import read_claim_file
from intake.scenario_feeds import expand, load_feed
from store import reconcile, recovered
from store.engine import Database
from store.outbox_index import INDEX
from store.sending import ALERT, unsettled
from store.tables import AlertRecord, ClaimVersion, Encounter, OutboxFinding, RecoveredClaim, Transmission
from tests.kit.claims import LATER, files, send, sent
from tests.kit.feeds import ANCHOR
from tests.kit.files import SCENARIOS
from tests.kit.recorder import NOW, Recorder, recorder
from tests.kit.set_back import Moment
from tests.kit.site import live_site

FEED = load_feed(SCENARIOS / "a_mcl_medicare_inpatient.json")


def patient(name: str) -> list[dict[str, Any]]:
    """The events of one patient of the scenario, with a name and numbers of their own."""
    events = expand(FEED, ANCHOR, subject=f"ORD-{name}", suffix=f"-{name}")
    for event in events:
        if event["type"] == "cart.referral.received":
            data = event["data"]
            data["patient"] = data["patient"] | {
                "mrn": f"MRN-{name}",
                "name": {"family": f"Family{name}", "given": "Given"},
            }
            data["coverage"] = data["coverage"] | {"member_id": f"MEM{name}77"}
    return events


@pytest.fixture
async def r(db: Database, tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path, db.url, live_site(tmp_path)) as made:
        yield made


def restarted(r: Recorder) -> None:
    """The worker of the recorder starts again."""
    r.activities = type(r.activities)(r.service, r.activities.claim_life.outbox)


def letters(r: Recorder, encounter: str, now: Any = LATER) -> dict[str, str]:
    return {letter: send(r, encounter, letter, now).state for letter in "ABC"}


def named(path: Path) -> dict[str, str]:
    """Family name by control number of a file."""
    return {claim.control: claim.family for claim in read_claim_file(path.read_text()).claims}


def everything(r: Recorder) -> list[tuple[str, str]]:
    return [one for path in files(r) if path.suffix == ".x12" for one in named(path).items()]


def alert(r: Recorder) -> str | None:
    with r.service.db.read() as session:
        row = session.exec(select(AlertRecord).where(AlertRecord.key == ALERT.key)).first()
        return row.state if row else None


def findings(r: Recorder) -> set[str]:
    with r.service.db.read() as session:
        return {one.kind for one in unsettled(session)}


def settle(r: Recorder, **options: Any) -> reconcile.Outcome:
    life = r.activities.claim_life
    return reconcile.settle(r.service.db, r.service.keys, life.outbox, "integration", LATER, **options)


async def lost(r: Recorder, tmp_path: Path) -> Moment:
    """Ada's claims are sent after the moment that comes back."""
    moment = Moment(r.service.db, tmp_path)
    ada = await r.decided(patient("ada"))
    assert set(letters(r, ada).values()) == {"transmitted"}
    moment.comes_back()
    return moment


@pytest.mark.parametrize("restart", [False, True], ids=["under a running worker", "before a start"])
async def test_numbers_that_were_used_are_not_taken_again(r: Recorder, tmp_path: Path, restart: bool) -> None:
    await lost(r, tmp_path)
    if restart:
        restarted(r)
    before = everything(r)
    bea = await r.decided(patient("bea"))
    for _ in range(2):
        shown = send(r, bea)
        assert (shown.state, shown.send) == ("emitted", False)
        assert "sending is held" in str(shown.due_title)
    assert everything(r) == before
    assert sent(r) == []
    assert alert(r) == "open"
    assert {"unknown_number", "number_beyond"} <= findings(r)

    out = settle(r)
    assert (len(out.recovered), out.without_copy, out.epoch) == (3, [], 1)
    assert alert(r) == "resolved"
    assert set(letters(r, bea).values()) == {"transmitted"}
    numbers = {row.control_number: row.interchange for row in sent(r)}
    assert sorted(numbers.values()) == [10_000_001, 10_000_002, 10_000_003]
    assert all(re.fullmatch(r"CE01\d{8}", number) for number in numbers)

    ada = await r.decided(patient("ada"))
    assert set(letters(r, ada).values()) == {"transmitted"}
    assert len(everything(r)) == 6
    assert len({number for number, _ in everything(r)}) == 6
    with r.service.db.read() as session:
        versions = session.exec(select(ClaimVersion)).all()
        assert {one.state for one in session.exec(select(RecoveredClaim))} == {recovered.ADOPTED}
    family = {ada: "FAMILYADA", bea: "FAMILYBEA"}
    assert {(str(one.control_number), family[one.encounter_id]) for one in versions} == set(everything(r))
    restarted(r)
    send(r, bea, now=LATER + timedelta(days=1))
    assert findings(r) == set()


async def test_what_the_transport_picked_up_is_known_from_the_index(r: Recorder, tmp_path: Path) -> None:
    moment = Moment(r.service.db, tmp_path)
    ada = await r.decided(patient("ada"))
    letters(r, ada)
    for path in files(r):
        path.unlink()
    moment.comes_back()
    bea = await r.decided(patient("bea"))
    assert send(r, bea).state == "emitted"
    out = settle(r)
    assert sorted(out.recovered) == sorted(out.without_copy) == [f"CE{n:010d}" for n in (1, 2, 3)]
    ada = await r.decided(patient("ada"))
    letters(r, ada)
    letters(r, bea)
    assert {family for _, family in everything(r)} == {"FAMILYBEA"}
    assert len(sent(r)) == 6


async def test_the_same_claim_with_other_content_waits_for_a_biller(r: Recorder, tmp_path: Path) -> None:
    await lost(r, tmp_path)
    settle(r)
    events = patient("ada")
    late = next(e for e in events if e["type"] == "cart.charge.posted" and "admission_id" in e["data"])
    late["data"]["amount"] = "12345.00"
    ada = await r.decided(events)
    shown = send(r, ada)
    assert shown.state == "emitted"
    assert any("sent before the restore under CE0000000003" in text for text in _texts(r)) or _texts(r)
    held = [row for row in _open(r) if row.letter == "C"]
    assert len(held) == 1

    claim = f"{ada}/C/1"
    reconcile.decide(r.service.db, held[0].control_number, claim, "same", "biller", LATER)
    assert send(r, ada).state in ("transmitted", "emitted")
    rows = [row for row in sent(r) if row.letter == "C"]
    assert [(row.control_number, row.other_content) for row in rows] == [(held[0].control_number, True)]
    follow_up = r.activities.claim_life.follow_claim(_moment(ada))
    with r.service.db.read() as session:
        story = session.exec(
            select(ClaimVersion).where(ClaimVersion.letter == "C").order_by(ClaimVersion.version)
        ).all()
    assert [row.frequency for row in story] == ["1", "7"], follow_up


async def test_another_claim_is_sent_once_a_biller_says_so(r: Recorder, tmp_path: Path) -> None:
    await lost(r, tmp_path)
    settle(r)
    events = patient("ada")
    late = next(e for e in events if e["type"] == "cart.charge.posted" and "admission_id" in e["data"])
    late["data"]["amount"] = "12345.00"
    ada = await r.decided(events)
    send(r, ada)
    [held] = [row for row in _open(r) if row.letter == "C"]
    reconcile.decide(r.service.db, held.control_number, f"{ada}/C/1", "other", "biller", LATER)
    assert send(r, ada).state == "transmitted"
    assert [row.interchange for row in sent(r)] == [10_000_001]
    reconcile.close(r.service.db, held.control_number, "voided by telephone", "biller", LATER)
    assert [row.letter for row in _open(r)] == ["A", "B"]


def _moment(encounter: str) -> Any:
    from workflows.messages import ClaimMoment

    return ClaimMoment(encounter=encounter, letter="C", ordinal=1, now=LATER + timedelta(hours=1))


def _texts(r: Recorder) -> list[str]:
    with r.service.db.read() as session:
        rows = session.exec(select(AlertRecord).where(AlertRecord.state == "open")).all()
    return [row.action for row in rows if "before the restore" in row.action]


def _open(r: Recorder) -> list[RecoveredClaim]:
    with r.service.db.read() as session:
        return list(recovered.unmatched(session))


async def test_a_claim_that_was_numbered_before_and_sent_after_the_moment_keeps_its_number(
    r: Recorder, tmp_path: Path
) -> None:
    ada = await r.decided(patient("ada"))
    moment = Moment(r.service.db, tmp_path)
    letters(r, ada)
    moment.comes_back()
    assert letters(r, ada)["C"] == "emitted"
    settle(r)
    assert set(letters(r, ada).values()) == {"transmitted"}
    assert len(everything(r)) == 3
    assert {row.control_number for row in sent(r)} == {f"CE{n:010d}" for n in (1, 2, 3)}


async def test_a_wrong_directory_holds_and_is_over_when_the_right_one_is_back(r: Recorder, tmp_path: Path) -> None:
    ada = await r.decided(patient("ada"))
    send(r, ada, "A")
    outbox = r.activities.claim_life.outbox
    outbox.rename(tmp_path / "away")
    restarted(r)
    assert send(r, ada, "B").state == "emitted"
    assert findings(r) == {"index_missing"}
    assert not list(outbox.rglob("*.x12"))
    for path in sorted(outbox.rglob("*"), reverse=True):
        path.unlink()
    if outbox.exists():
        outbox.rmdir()
    (tmp_path / "away").rename(outbox)
    restarted(r)
    assert send(r, ada, "B").state == "transmitted"
    assert alert(r) == "resolved"


async def test_an_index_that_was_edited_holds_and_is_rebuilt(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    send(r, ada, "A")
    send(r, ada, "B")
    index = r.activities.claim_life.outbox / INDEX
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join([lines[0], lines[1].replace("CE00", "CE09"), *lines[2:]]))
    restarted(r)
    assert send(r, ada).state == "emitted"
    assert findings(r) == {"index_damaged"}
    out = settle(r)
    assert (out.epoch, out.recovered) == (1, [])
    assert send(r, ada).state == "transmitted"
    assert len(everything(r)) == 3
    restarted(r)
    send(r, ada, now=LATER + timedelta(days=1))
    assert findings(r) == set()


async def test_a_last_line_that_a_crash_cut_off_is_no_contradiction(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    send(r, ada, "A")
    with (r.activities.claim_life.outbox / INDEX).open("a") as file:
        file.write('{"kind":"file","pa')
    restarted(r)
    assert {letter: send(r, ada, letter).state for letter in "BC"} == {"B": "transmitted", "C": "transmitted"}
    assert findings(r) == set()


async def test_lines_that_were_removed_are_found_by_their_rows(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    letters(r, ada)
    index = r.activities.claim_life.outbox / INDEX
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:2]))
    for path in files(r):
        path.unlink()
    restarted(r)
    bea = await r.decided(patient("bea"))
    assert send(r, bea).state == "emitted"
    assert findings(r) == {"not_recorded"}
    settle(r)
    assert send(r, bea).state == "transmitted"
    restarted(r)
    send(r, bea, now=LATER + timedelta(days=1))
    assert findings(r) == set()


async def test_a_file_with_other_content_is_never_taken_for_the_own_one(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    there = r.activities.claim_life.outbox / "live/medicare/EXMACJK-000000001.x12"
    there.parent.mkdir(parents=True)
    there.write_text("the file of another claim\n")
    send(r, ada)
    assert findings(r) == {"unknown_file"} or findings(r) == {"file_differs"}
    assert there.read_text() == "the file of another claim\n"
    assert [row.written_at for row in sent(r)] in ([], [None])


async def test_an_edited_file_holds_until_someone_says_why(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    send(r, ada, "A")
    (path,) = files(r)
    path.write_text(path.read_text().replace("FAMILYADA", "SOMEONE"))
    restarted(r)
    assert send(r, ada, "B").state == "emitted"
    assert findings(r) == {"file_differs"}
    assert len(settle(r).left) == 1
    assert send(r, ada, "B").state == "emitted"
    settle(r, note="edited by hand for a test of the clearinghouse; not sent")
    assert send(r, ada, "B").state == "transmitted"
    with r.service.db.read() as session:
        row = session.exec(select(OutboxFinding)).one()
        assert (row.settled_by, bool(row.note)) == ("integration", True)


async def test_the_first_start_of_this_release_takes_over_what_an_earlier_one_sent(r: Recorder) -> None:
    ada = await r.decided(patient("ada"))
    letters(r, ada)
    outbox = r.activities.claim_life.outbox
    (outbox / INDEX).unlink()
    files(r)[0].unlink()  # picked up
    with r.service.db.write() as session:
        from store.tables import Installation

        for row in session.exec(select(Transmission)):
            row.file_digest = None
            session.add(row)
        session.delete(session.exec(select(Installation)).one())
    restarted(r)
    bea = await r.decided(patient("bea"))
    assert send(r, bea).state == "transmitted"
    assert findings(r) == set()
    assert [row.interchange for row in sent(r)] == [1, 2, 3, 4]
    assert len((outbox / INDEX).read_text().splitlines()) == 5


def test_now_is_before_the_bill_hold_ends() -> None:
    assert NOW < LATER
    assert Encounter.__tablename__
