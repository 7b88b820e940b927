"""Files of answers: whole ones become events of their claim; torn, repeated and foreign ones are quarantined with a reason."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from intake.inbox.receive import Disposition, replay
from intake.payer_files.directory import ReplyDirectory
from store.tables import EncounterEvent, Quarantine, ReplyFile
from tests.intake.payer_files.conftest import CLAIM, Post
from tests.kit import events as e
from tests.kit.files import SAMPLES


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("accepted.999.x12", ("999", True, "")),
        ("rejected.999.x12", ("999", False, "")),
        ("accepted.277ca.x12", ("277CA", True, "")),
        ("rejected.277ca.x12", ("277CA", False, "")),
        ("paid.835.x12", ("835", True, "1")),
        ("denied.835.x12", ("835", True, "4")),
    ],
)
def test_an_answer_reaches_its_claim_and_leaves_the_inbox(
    post: Post, sample: str, expected: tuple[str, bool, str]
) -> None:
    post.add_claim()
    path = post.drop(sample)
    assert post.sweep() == 1
    assert post.answers() == [expected]
    assert not path.exists()
    assert len(list((post.directory / "processed").glob("*.x12"))) == 1
    assert post.sweep() == 0
    assert post.alerts() == []


def test_the_same_file_again_is_quarantined_and_moves_nothing(post: Post) -> None:
    post.add_claim()
    post.drop("paid.835.x12")
    post.sweep()
    post.drop("paid.835.x12", "copy.x12")
    assert post.sweep() == 0
    assert len(post.answers()) == 1
    assert post.reasons() == ["the same file was imported before"]
    assert post.alerts() == ["reply_file_refused"]


def test_a_torn_file_waits_for_its_end_and_is_quarantined_when_that_does_not_come(post: Post) -> None:
    post.add_claim()
    whole = (SAMPLES / "paid.835.x12").read_text().replace("@CLAIM@", CLAIM)
    path = post.put("on-its-way.x12", whole[: len(whole) // 2])
    assert post.sweep(patience=timedelta(minutes=5)) == 0
    assert path.exists()
    path.write_text(whole)
    assert post.sweep() == 1
    post.put("torn.x12", whole[:400])
    post.sweep()
    assert post.reasons() == ["it ends before its trailer"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "it is no X12 interchange"),
        ("ISA*00", "its header is cut off"),
        ("", "it is no X12 interchange"),
    ],
)
def test_a_foreign_file_is_quarantined(post: Post, text: str, reason: str) -> None:
    post.put("whatever.txt", text)
    assert post.sweep() == 0
    assert post.reasons() == [reason]


def test_a_claim_file_of_our_own_is_no_answer(post: Post) -> None:
    text = (SAMPLES / "paid.835.x12").read_text().replace("GS*HP*", "GS*HC*")
    post.put("837.x12", text)
    post.sweep()
    assert post.reasons() == ["it is neither 999 nor 277CA nor 835"]


@pytest.mark.parametrize(("old", "new"), [("CAS*CO*45*100~", "CAS*CO*45*90~"), ("BPR*I*800*", "BPR*I*700*")])
def test_a_remittance_that_does_not_balance_is_quarantined(post: Post, old: str, new: str) -> None:
    post.add_claim()
    text = (SAMPLES / "paid.835.x12").read_text().replace("@CLAIM@", CLAIM)
    assert old in text
    post.put("835.x12", text.replace(old, new))
    assert post.sweep() == 0
    assert "balance" in post.reasons()[0]
    assert post.answers() == []


def test_a_999_of_another_interchange_is_quarantined_and_taken_when_it_is_put_back(post: Post) -> None:
    post.drop("accepted.999.x12")
    post.sweep()
    assert post.reasons() == ["it answers an interchange that was not sent from here"]
    post.add_claim()
    kept = next((post.directory / "quarantine").glob("*.x12"))
    os.replace(kept, post.directory / "again.x12")
    assert post.sweep() == 1
    assert post.answers() == [("999", True, "")]


def test_a_remittance_of_an_unknown_claim_waits_in_quarantine_and_can_be_replayed(post: Post) -> None:
    post.drop("paid.835.x12")
    assert post.sweep() == 1
    assert post.answers() == []
    with post.db.read() as session:
        row = session.exec(select(Quarantine)).one()
    assert row.state == "waiting"
    assert replay(post.db, post.keys, row.quarantine_id, e.NOW, "tests").disposition is Disposition.QUARANTINED
    post.add_claim()
    assert replay(post.db, post.keys, row.quarantine_id, e.NOW, "tests").disposition is Disposition.ACCEPTED
    assert post.answers() == [("835", True, "1")]


def test_a_crash_between_taking_in_and_moving_is_made_good(post: Post) -> None:
    post.add_claim()
    path = post.drop("paid.835.x12")
    text = path.read_text()
    post.sweep()
    with post.db.write() as session:
        session.exec(select(ReplyFile)).one().moved_at = None
    post.put("paid.835.x12", text)
    assert post.sweep() == 0
    assert not path.exists()
    assert post.reasons() == []
    with post.db.write() as session:
        session.delete(session.exec(select(ReplyFile)).one())
    post.put("paid.835.x12", text)
    assert post.sweep() == 1
    assert len(post.answers()) == 1
    with post.db.read() as session:
        assert len(session.exec(select(EncounterEvent)).all()) == 2


def test_unfinished_and_hidden_files_are_left_alone(post: Post) -> None:
    for name in (".x12", "835.part", "835.tmp"):
        post.put(name, "ISA")
    assert post.sweep() == 0
    assert {path.name for path in post.directory.iterdir() if path.is_file()} == {".x12", "835.part", "835.tmp"}


def test_a_file_that_cannot_be_read_holds_up_no_other(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    post.add_claim()
    stuck = post.drop("accepted.999.x12", "a.x12")
    post.drop("accepted.277ca.x12", "b.x12")
    check = ReplyDirectory._check_size

    def refused(directory: ReplyDirectory, path: Path) -> None:
        if path == stuck:
            raise PermissionError(path.name)
        check(directory, path)

    monkeypatch.setattr(ReplyDirectory, "_check_size", refused)
    assert post.sweep() == 1
    assert [kind for kind, *_ in post.answers()] == ["277CA"]
    monkeypatch.undo()
    assert post.sweep() == 1
    assert not stuck.exists()
