"""What patients share, and who is told of it: cell identifiers that two encounters carry, the stock of a centre.

Of two encounters with one identifier both are held (corrections G). The first keeps it for look-ups; a later one is registered
beside it. Whether both still carry it is asked of their facts, so that a correction of either settles it for both.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from domain.encounter.checks.tocilizumab_stock import COUNTED
from domain.encounter.facts import Fact, fold
from domain.encounter.record import aliases_of
from domain.events import EventData
from domain.events.care import MedicationAdministered
from domain.events.governance import CorrectionMade
from intake.inbox.matching import CELL_KINDS, SHARED, event_key
from store.facts import load_facts_in
from store.keys import Keyring
from store.merged import same_patient
from store.tables import NOTICE, NOTICES, STOCK_NOTICE, Alias, Encounter, EncounterEvent, Inbox, Patient

Identifier = tuple[str, str]
"""Kind and value."""


def shared_identifiers(
    session: Session, keys: Keyring, encounter_id: str, own: Iterable[Fact[EventData]]
) -> frozenset[Identifier]:
    """The identifiers of an encounter's facts that the standing facts of another patient's encounter carry, too."""
    others = _others(session, encounter_id)
    if not others:
        return frozenset()
    mine = _carried(own)
    theirs = [_carried(load_facts_in(session, keys, other, None)[0]) for other in others]
    return frozenset(pair for pair in mine if any(pair in carried for carried in theirs))


def tell_others(session: Session, keys: Keyring, encounter_id: str, event_id: str, note_key: str) -> None:
    """Give every encounter that shares an identifier a notice, so that it decides anew; one for each event."""
    for other in _others(session, encounter_id):
        _tell(session, keys, other, event_id, note_key, NOTICE)


def tell_of_merge(session: Session, keys: Keyring, encounters: Iterable[str], merge: str) -> None:
    """Give encounters that turned out to be one patient's a notice, where they share an identifier: it holds them no more.

    A notice names an event of the other encounter, one that this encounter was not told of yet.
    """
    every = list(encounters)
    for one, other in ((a, b) for a in every for b in every if a != b and b in _sharing(session, a)):
        told = select(EncounterEvent.event_id).where(EncounterEvent.encounter_id == one)
        of_other = (
            select(EncounterEvent.event_id)
            .where(EncounterEvent.encounter_id == other, col(EncounterEvent.type).not_in(NOTICES))
            .where(col(EncounterEvent.event_id).not_in(told))
            .order_by(col(EncounterEvent.sequence).desc())
        )
        if event_id := session.exec(of_other).first():
            _tell(session, keys, one, event_id, f"{merge} {other}", NOTICE)


def tell_of_stock(
    session: Session, keys: Keyring, encounter: Encounter, data: EventData, event_id: str, note_key: str
) -> None:
    """Give every other open encounter of the centre a notice of a dose that counts against its stock, or of its correction."""
    centres = _centres_of_dose(session, keys, encounter, data)
    if not centres:
        return
    open_ones = session.exec(
        select(Encounter.encounter_id, Encounter.facilities)
        .where(Encounter.status == "open", Encounter.encounter_id != encounter.encounter_id)
        .order_by(Encounter.encounter_id)
    ).all()
    for other, facilities in open_ones:
        if centres & set(facilities):
            _tell(session, keys, other, event_id, note_key, STOCK_NOTICE)


def _centres_of_dose(session: Session, keys: Keyring, encounter: Encounter, data: EventData) -> set[str]:
    """The centres whose stock an event changes; a correction may have moved the dose from any centre of its encounter."""
    if isinstance(data, MedicationAdministered):
        return {data.facility} if data.facility and data.drug == COUNTED else set()
    if not isinstance(data, CorrectionMade):
        return set()
    key = event_key(keys, data.of.source, data.of.id)
    if session.exec(select(Inbox.type).where(Inbox.dedupe_key == key)).first() != MedicationAdministered.event_type:
        return set()
    return {*encounter.facilities, str((data.replacement or {}).get("facility", ""))}


def _tell(session: Session, keys: Keyring, other: str, event_id: str, note_key: str, kind: str) -> None:
    known = select(EncounterEvent).where(EncounterEvent.encounter_id == other, EncounterEvent.event_id == event_id)
    if session.exec(known).first() is not None:
        return
    row = session.exec(select(Encounter).where(Encounter.encounter_id == other).with_for_update()).one()
    session.add(
        EncounterEvent(
            encounter_id=other,
            sequence=row.next_sequence,
            event_id=event_id,
            type=kind,
            note_key=keys.digest("notice", note_key, other),
        )
    )
    row.next_sequence += 1
    session.add(row)
    session.flush()


def _others(session: Session, encounter_id: str) -> list[str]:
    """Other patients' encounters with an identifier of this one; the same patient may have two encounters."""
    found = _sharing(session, encounter_id)
    mine_too = same_patient(session, key) if found and (key := _patient_key(session, encounter_id)) else set()
    return [one for one in found if _patient_key(session, one) not in mine_too]


def _sharing(session: Session, encounter_id: str) -> list[str]:
    """Encounters with an identifier of this one, whosever they are."""
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


def _carried(facts: Iterable[Fact[EventData]]) -> set[Identifier]:
    pairs = (pair for fact in fold(facts).all for pair in aliases_of(fact.data))
    return {(kind, value.strip()) for kind, value in pairs if kind in CELL_KINDS}
