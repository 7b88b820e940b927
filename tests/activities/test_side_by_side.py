"""A slow first try of an activity and its retry, side by side on one database: nothing is logged twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import timedelta

from pydantic import AnyHttpUrl
from sqlmodel import Session, select

from activities.alerting.destinations import Destination, Destinations
from activities.alerting.escalate import work
from activities.watch import deadlines_near, watch
from store.batches import take_place
from store.claims import next_count
from store.config import ConfigCache
from store.engine import Database
from store.keys import Keyring
from store.tables import AlertDelivery, AlertRecord, Encounter, Staff
from store.vault import pseudonym
from tests.kit import events as e
from tests.kit.files import SITE_FILE
from tests.kit.rows import alert_row

PAGER = Destination(name="pager", kind="webhook", url=AnyHttpUrl("http://127.0.0.1:9"), secret=bytes(24))
DAY = timedelta(days=1)
CONFIG = ConfigCache("current", None, SITE_FILE)


def side_by_side(db: Database, once: Callable[[Session], object]) -> None:
    """Begin again while the first transaction is done with its work and has not committed."""

    def again() -> None:
        with db.write() as session:
            once(session)

    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            once(session)
            session.flush()
            second = pool.submit(again)
            wait_for([second], timeout=0.5)
        second.result(timeout=10)


def alert() -> AlertRecord:
    return alert_row(key="one")


def test_the_escalation_notifies_once(db: Database) -> None:
    with db.write() as session:
        session.add(alert())
    where = Destinations(destinations=(PAGER,))
    side_by_side(db, lambda session: work(session, where, e.NOW, timedelta(hours=4)))
    with db.read() as session:
        assert len(session.exec(select(AlertDelivery)).all()) == 1


def test_the_watch_opens_an_alert_once_and_reads_nothing_of_encounters_without_one(db: Database, keys: Keyring) -> None:
    due = {"key": "k", "kind": "authorization_expiring", "title": "the decision", "due": (e.NOW + DAY).isoformat()}
    with db.write() as session:
        session.add(Encounter(encounter_id="enc_near", created_at=e.NOW, view={"deadlines": [due]}))
        session.add(Encounter(encounter_id="enc_quiet", created_at=e.NOW, view={"deadlines": []}))
    side_by_side(db, lambda session: watch(session, keys, CONFIG.site(), CONFIG.rules(), e.NOW))
    with db.read() as session:
        standing = select(AlertRecord).where(AlertRecord.encounter_id == "enc_near")
        assert len(session.exec(standing).all()) == 1
        assert set(deadlines_near(session, CONFIG.rules(), e.NOW)) == {"enc_near"}


def test_the_first_numbers_of_a_counter_are_taken_side_by_side_without_a_gap(db: Database) -> None:
    taken: list[int] = []
    side_by_side(db, lambda session: taken.append(next_count(session, "interchange shadow X")))
    assert taken == [1, 2]


def test_the_first_claims_to_a_partner_share_a_batch_side_by_side(db: Database) -> None:
    places = []

    def take(session: Session) -> None:
        places.append(take_place(session, "shadow", "X", "medicare", "UB-04", 60, e.NOW).interchange)

    side_by_side(db, take)
    assert places == [1, 1]


def test_a_member_of_staff_met_twice_at_once_is_one(db: Database, keys: Keyring) -> None:
    side_by_side(db, lambda session: pseudonym(session, keys, "staff-1"))
    with db.read() as session:
        assert len(session.exec(select(Staff)).all()) == 1
