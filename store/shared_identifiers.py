"""Cell identifiers that encounters of two patients share: both encounters are held (corrections G)."""

from __future__ import annotations

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from domain.encounter.record import aliases_of
from store.facts import EncounterFacts, load_own
from store.identifiers import CELL_KINDS, SHARED
from store.keys import Keyring
from store.merged import same_patient
from store.tables import Alias, Encounter, Patient

Identifier = tuple[str, str]
"""Kind and value."""


def shared_identifiers(
    session: Session, keys: Keyring, encounter_id: str, own: EncounterFacts
) -> frozenset[Identifier]:
    """The identifiers of an encounter's facts that the current facts of another patient's encounter have, too."""
    sharing_it = others(session, encounter_id)
    if not sharing_it:
        return frozenset()
    mine = _carried(own)
    theirs = [_carried(load_own(session, keys, other)) for other in sharing_it]
    return frozenset(pair for pair in mine if any(pair in carried for carried in theirs))


def others(session: Session, encounter_id: str) -> list[str]:
    """Other patients' encounters with an identifier of this one; the same patient may have two encounters."""
    found = sharing(session, encounter_id)
    mine_too = same_patient(session, key) if found and (key := _patient_key(session, encounter_id)) else set()
    return [one for one in found if _patient_key(session, one) not in mine_too]


def sharing(session: Session, encounter_id: str) -> list[str]:
    """Encounters of any patient with an identifier of this one."""
    mine, theirs = aliased(Alias), aliased(Alias)
    kinds = [*CELL_KINDS, *(SHARED + kind for kind in CELL_KINDS)]
    query = (
        select(theirs.encounter_id)
        .join(mine, col(mine.alias_key) == col(theirs.alias_key))
        .where(mine.encounter_id == encounter_id, theirs.encounter_id != encounter_id)
        .where(col(mine.kind).in_(kinds), col(theirs.kind).in_(kinds))
        .distinct()
    )
    return sorted(session.exec(query))


def _patient_key(session: Session, encounter_id: str) -> str | None:
    """The record-number key of an encounter's patient; None while no referral has named one."""
    reference = session.get_one(Encounter, encounter_id).patient_ref
    return session.get_one(Patient, reference).mrn_key if reference else None


def _carried(facts: EncounterFacts) -> set[Identifier]:
    pairs = (pair for fact in facts.folded.all for pair in aliases_of(fact.data))
    return {(kind, value.strip()) for kind, value in pairs if kind in CELL_KINDS}
