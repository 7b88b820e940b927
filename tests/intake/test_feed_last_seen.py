"""When a feed was last seen, noted by several processes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from intake.feed_last_seen import FeedLastSeen
from intake.inbox.receive import receive
from store.engine import Database
from store.feeds import last_seen
from store.keys import Keyring
from tests.kit import events as e


def test_processes_that_note_a_feed_at_once_do_not_disturb_each_other(db: Database) -> None:
    moments = [e.NOW + timedelta(minutes=number) for number in range(24)]
    with ThreadPoolExecutor(8) as processes:
        list(processes.map(lambda moment: FeedLastSeen(db).note("scheduling", moment), moments))
    with db.read() as session:
        assert last_seen(session) == {"scheduling": moments[-1]}


def test_a_feed_is_also_last_seen_by_its_events(db: Database, keys: Keyring) -> None:
    for number, feed in enumerate(("scheduling", "ehr", "scheduling")):
        receive(db, keys, e.booking(f"b-{number}", f"ORD-{number}"), e.NOW + timedelta(hours=number), feed)
    FeedLastSeen(db).note("ehr", e.NOW + timedelta(hours=9))
    with db.read() as session:
        assert last_seen(session) == {"ehr": e.NOW + timedelta(hours=9), "scheduling": e.NOW + timedelta(hours=2)}
