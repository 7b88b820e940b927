"""When a sender was last heard, by several processes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from intake.feed_last_seen import Hearing
from intake.inbox.receive import receive
from store.engine import Database
from store.feeds import last_seen
from store.keys import Keyring
from tests.kit import events as e


def test_processes_that_hear_a_feed_at_once_do_not_disturb_each_other(db: Database) -> None:
    moments = [e.NOW + timedelta(minutes=number) for number in range(24)]
    with ThreadPoolExecutor(8) as processes:
        list(processes.map(lambda moment: Hearing(db).heard("scheduling", moment), moments))
    with db.read() as session:
        assert last_seen(session) == {"scheduling": moments[-1]}


def test_the_last_word_of_each_feed_is_found_by_its_events_too(db: Database, keys: Keyring) -> None:
    for number, feed in enumerate(("scheduling", "ehr", "scheduling")):
        receive(db, keys, e.booking(f"b-{number}", f"ORD-{number}"), e.NOW + timedelta(hours=number), feed)
    Hearing(db).heard("ehr", e.NOW + timedelta(hours=9))
    with db.read() as session:
        assert last_seen(session) == {"ehr": e.NOW + timedelta(hours=9), "scheduling": e.NOW + timedelta(hours=2)}
