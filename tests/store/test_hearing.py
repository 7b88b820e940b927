"""When a sender was last heard, by several processes at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from activities.store.engine import Database
from activities.store.hearing import Hearing, last_heard
from tests.store import examples as e


def test_processes_that_hear_a_feed_at_once_do_not_disturb_each_other(db: Database) -> None:
    moments = [e.NOW + timedelta(minutes=number) for number in range(24)]
    with ThreadPoolExecutor(8) as processes:
        list(processes.map(lambda moment: Hearing(db).heard("scheduling", moment), moments))
    with db.read() as session:
        assert last_heard(session) == {"scheduling": moments[-1]}
