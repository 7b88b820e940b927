"""Feed health: when each feed was last seen, and which one is silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import select

from intake.feed_health import FeedWatch
from intake.feed_last_seen import FeedLastSeen
from intake.hl7.message import read
from intake.hl7.receiver import Hl7Receiver
from intake.inbox.receive import receive
from intake.site_mapping import parse_mapping
from store.engine import Database
from store.feeds import last_seen
from store.keys import Keyring
from store.tables import AlertRecord
from tests.kit import events as e
from tests.kit.files import DEPLOY
from tests.kit.mllp import recorded

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = e.NOW

    def __call__(self) -> datetime:
        return self.now


def states(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.exec(select(AlertRecord.state)))


def test_a_silent_feed_alerts_once_and_is_resolved_when_received_again(store: tuple[Database, Keyring]) -> None:
    db, keys = store
    clock = Clock()
    watch = FeedWatch(db, {"scheduling": 2 * HOUR}, clock)
    assert watch.check() == []
    clock.now += 2.5 * HOUR
    for _ in range(2):
        assert watch.check() == ["scheduling"]
    assert states(db) == ["open"]
    receive(db, keys, e.booking(), clock.now, "scheduling")
    clock.now += HOUR
    assert watch.check() == []
    assert states(db) == ["resolved"]
    clock.now += 2 * HOUR
    assert watch.check() == ["scheduling"]
    assert states(db) == ["open", "resolved"]


def test_a_feed_is_seen_by_every_message_and_not_only_by_those_about_our_patients(
    store: tuple[Database, Keyring],
) -> None:
    """A scheduling system that books other clinics' patients all day is not silent."""
    db, keys = store
    clock = Clock()
    mapping = parse_mapping((DEPLOY / "hl7.example.toml").read_text())
    door = Hl7Receiver(db, keys, mapping, clock, lambda: None)
    watch = FeedWatch(db, mapping.longest_silences, clock)
    dietitian, unknown = recorded("story")[16], recorded("broken")[0]
    for message, code in ((dietitian, "AA"), (unknown, "AE")):
        clock.now += 10 * HOUR
        assert read(door.take(message)).get("MSA-1") == code
        assert watch.check() == []
    clock.now += 13 * HOUR
    assert watch.check() == ["st-mary-scheduling"]
    assert read(door.take(dietitian)).get("MSA-1") == "AA"
    assert watch.check() == []
    assert states(db) == ["resolved"]


def test_a_busy_feed_costs_one_note_in_a_while(store: tuple[Database, Keyring]) -> None:
    db, _ = store
    notes, now = FeedLastSeen(db), e.NOW
    for second in range(40):
        notes.note("scheduling", now + timedelta(seconds=second))
        with db.read() as session:
            assert last_seen(session)["scheduling"] == now + timedelta(seconds=second - second % 15)
