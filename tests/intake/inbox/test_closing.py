"""Closed quarantine entries: no referral and no copy applies them, no alert stays open, and they are kept."""

from __future__ import annotations

import pytest
from sqlmodel import select

from intake.inbox.closing import ClosingReason, NotOpen, close, note_of
from intake.inbox.quarantine import NeverApplied, UnknownEntry
from intake.inbox.receive import Disposition, replay
from store.engine import serialize
from store.tables import AlertRecord, AuditEntry, Quarantine
from tests.intake.inbox.conftest import Post
from tests.kit import events as e

MEANT = ClosingReason("coordinator", "corrected", "Xiomara was sent again", "the caller")


def closed(post: Post, quarantine_id: str | None) -> Quarantine:
    with post.db.write() as session:
        serialize(session)
        return close(session, post.keys, str(quarantine_id), MEANT, e.NOW)


def test_a_closed_entry_is_applied_by_no_referral_and_no_copy_but_by_a_replay(post: Post) -> None:
    stray = e.custody(subject="COI-9", coi="COI-9")
    row = closed(post, post(stray).quarantine_id)
    assert (row.state, row.closed_from, row.closed_by, row.closed_because) == (
        "closed",
        "waiting",
        "coordinator",
        "corrected",
    )
    assert b"Xiomara" not in (row.closed_note or b"")
    assert note_of(post.keys, row) == "Xiomara was sent again"
    opened = post(e.booking(subject="COI-9", appointment="A-9")).encounter_id
    assert opened
    assert post(stray).disposition is Disposition.DUPLICATE
    assert post.types(opened) == ["cart.appointment.booked"]
    with post.db.read() as session:
        entry = session.exec(select(AuditEntry).where(AuditEntry.action == "close")).one()
        assert (entry.actor, entry.target, entry.outcome) == ("the caller", row.quarantine_id, "closed")
    again = replay(post.db, post.keys, row.quarantine_id, e.NOW, "t")
    assert (again.disposition, again.encounter_id) == (Disposition.ACCEPTED, opened)


def test_a_corrected_body_of_a_closed_event_is_a_new_one(post: Post) -> None:
    stray = e.custody(subject="COI-9", coi="COI-9")
    closed(post, post(stray).quarantine_id)
    corrected = {**stray, "subject": "ORD-1"}
    post(e.referral())
    assert post(corrected).disposition is Disposition.ACCEPTED


def test_closing_the_last_conflict_resolves_its_alert(post: Post) -> None:
    stray = e.custody(subject="COI-9", coi="COI-9")
    post(stray)
    others = [post({**stray, "subject": f"COI-{number}"}) for number in (7, 8)]
    assert {one.disposition for one in others} == {Disposition.CONFLICT}

    def standing() -> int:
        with post.db.read() as session:
            return len(session.exec(select(AlertRecord).where(AlertRecord.state != "resolved")).all())

    closed(post, others[0].quarantine_id)
    assert standing() == 1
    closed(post, others[1].quarantine_id)
    assert standing() == 0
    with pytest.raises(NeverApplied):
        replay(post.db, post.keys, str(others[1].quarantine_id), e.NOW, "t")


def test_what_is_released_or_closed_cannot_be_closed(post: Post) -> None:
    waiting = post(e.custody(subject="COI-9", coi="COI-9")).quarantine_id
    closed(post, waiting)
    with pytest.raises(NotOpen):
        closed(post, waiting)
    with pytest.raises(UnknownEntry):
        closed(post, "qua_none")
