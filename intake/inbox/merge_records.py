"""Merges two record numbers of one patient: encounters are found by both."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from intake import alerts
from intake.inbox import quarantine
from intake.inbox.matching import UNKNOWN
from intake.inbox.notices import notify_of_merge
from store.alerts import open_once
from store.engine import Database, serialize
from store.identifiers import MRN
from store.keys import Keyring
from store.merged import same_patient
from store.tables import Alias, Encounter, RecordMerge
from store.vault import audit, mrn_key


def merge_records(db: Database, keys: Keyring, old: str, new: str, facility: str, actor: str, now: datetime) -> int:
    """Merge two record numbers, so that encounters are found by both; returns how many. Repeating it changes nothing.

    The merge itself is kept, so that it counts for later encounters. Encounters are not joined: two products stay two
    encounters with their own events. Those with the same cell identifier decide again: the cells are the same patient's.
    Two open ones of one product are alerted: events that name the patient alone match neither.
    """
    with db.write() as session:
        serialize(session)
        return merge_in(session, keys, old, new, facility, actor, now)


def merge_in(session: Session, keys: Keyring, old: str, new: str, facility: str, actor: str, now: datetime) -> int:
    """`merge_records` inside a transaction that is already serialized."""
    old_key, new_key = mrn_key(keys, old, facility), mrn_key(keys, new, facility)
    is_new = old_key != new_key and session.get(RecordMerge, (old_key, new_key)) is None
    if is_new:
        session.add(RecordMerge(old_key=old_key, new_key=new_key, feed=actor, at=now))
        session.flush()
    numbers = same_patient(session, new_key)
    known = _encounters(session, numbers)
    quarantine.release(session, keys, numbers, now)
    if is_new:
        notify_of_merge(session, keys, [one.encounter_id for one in known], f"merge {old_key} {new_key}")
    _alert_doubles(session, [one for one in known if one.status == "open"], now)
    audit(session, actor, "merge", f"{len(known)} encounters", "merged", now)
    return len(known)


def _encounters(session: Session, numbers: set[str]) -> list[Encounter]:
    ids = select(Alias.encounter_id).where(col(Alias.alias_key).in_(numbers), Alias.kind == MRN)
    query = select(Encounter).where(col(Encounter.encounter_id).in_(ids)).order_by(col(Encounter.created_at))
    return list(session.exec(query))


def _alert_doubles(session: Session, encounters: list[Encounter], now: datetime) -> None:
    """The later of two open encounters of one patient that may be the same treatment."""
    first: set[str] = set()
    for encounter in encounters:
        if encounter.product in first or (first and UNKNOWN in first | {encounter.product}):
            open_once(session, encounter.encounter_id, alerts.two_encounters(encounter.encounter_id), now)
        first.add(encounter.product)
