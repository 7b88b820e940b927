"""Two record numbers that turn out to be one patient: what is known by the old one is known by the new one, too."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import select

from activities.store import quarantine
from activities.store.engine import Database
from activities.store.inbox import serialise
from activities.store.keys import Keyring
from activities.store.matching import MRN
from activities.store.tables import Alias, Patient, sealed_for
from activities.store.vault import audit, mrn_key


def merge_records(db: Database, keys: Keyring, old: str, new: str, facility: str, actor: str, now: datetime) -> int:
    """Let encounters of the old record number be found by the new one; returns how many. Doing it again changes nothing.

    Encounters are not joined: two products stay two encounters, and what stands in one stays there.
    """
    old_key, new_key = mrn_key(keys, old, facility), mrn_key(keys, new, facility)
    with db.write() as session:
        serialise(session)
        known = session.exec(select(Alias).where(Alias.alias_key == old_key, Alias.kind == MRN)).all()
        for alias in known:
            if session.get(Alias, (new_key, alias.encounter_id, MRN)) is None:
                sealed = keys.seal(b"", sealed_for("aliases.value", new_key))
                session.add(Alias(alias_key=new_key, encounter_id=alias.encounter_id, kind=MRN, value=sealed))
        if session.exec(select(Patient).where(Patient.mrn_key == new_key)).first() is None:
            for patient in session.exec(select(Patient).where(Patient.mrn_key == old_key)):
                patient.mrn_key = new_key
                session.add(patient)
        session.flush()
        quarantine.release(session, keys, [new_key], now)
        audit(session, actor, "merge", f"{len(known)} encounters", "merged", now)
        return len(known)
