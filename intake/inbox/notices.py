"""Notices to other encounters about what patients share: cell identifiers and the stock of a center.

Two encounters with the same identifier are both held (corrections G). The first keeps the identifier for look-ups; a later
one is registered beside it. Their facts decide whether both still have it, so a correction of either resolves both.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session, col, select

from domain.encounter.checks.tocilizumab_stock import COUNTED
from domain.events import EventData
from domain.events.care import MedicationAdministered
from domain.events.governance import CorrectionMade
from store.identifiers import event_key
from store.installation import first_sequence
from store.keys import Keyring
from store.shared_identifiers import others, sharing
from store.tables import NOTICE, NOTICES, STOCK_NOTICE, Encounter, EncounterEvent, Inbox


def notify_sharing(session: Session, keys: Keyring, encounter_id: str, event_id: str, note_key: str) -> None:
    """Give every encounter that shares an identifier a notice, so that it decides again; one for each event."""
    for other in others(session, encounter_id):
        _notify(session, keys, other, event_id, note_key, NOTICE)


def notify_of_merge(session: Session, keys: Keyring, encounters: Iterable[str], merge: str) -> None:
    """Give encounters of merged record numbers a notice where they share an identifier: it no longer holds them.

    A notice names an event of the other encounter, of which this encounter has no notice yet.
    """
    every = list(encounters)
    for one, other in ((a, b) for a in every for b in every if a != b and b in sharing(session, a)):
        notified = select(EncounterEvent.event_id).where(EncounterEvent.encounter_id == one)
        of_other = (
            select(EncounterEvent.event_id)
            .where(EncounterEvent.encounter_id == other, col(EncounterEvent.type).not_in(NOTICES))
            .where(col(EncounterEvent.event_id).not_in(notified))
            .order_by(col(EncounterEvent.sequence).desc())
        )
        if event_id := session.exec(of_other).first():
            _notify(session, keys, one, event_id, f"{merge} {other}", NOTICE)


def notify_of_stock(
    session: Session, keys: Keyring, encounter: Encounter, data: EventData, event_id: str, note_key: str
) -> None:
    """Give every other open encounter of the center a notice of a dose from its stock, or of a correction."""
    centers = _centers_of_dose(session, keys, encounter, data)
    if not centers:
        return
    open_ones = session.exec(
        select(Encounter.encounter_id, Encounter.facilities)
        .where(Encounter.status == "open", Encounter.encounter_id != encounter.encounter_id)
        .order_by(Encounter.encounter_id)
    ).all()
    for other, facilities in open_ones:
        if centers & set(facilities):
            _notify(session, keys, other, event_id, note_key, STOCK_NOTICE)


def _centers_of_dose(session: Session, keys: Keyring, encounter: Encounter, data: EventData) -> set[str]:
    """The centers whose stock an event changes; a correction may have moved the dose from any center of its encounter."""
    if isinstance(data, MedicationAdministered):
        return {data.facility} if data.facility and data.drug == COUNTED else set()
    if not isinstance(data, CorrectionMade):
        return set()
    key = event_key(keys, data.of.source, data.of.id)
    if session.exec(select(Inbox.type).where(Inbox.dedupe_key == key)).first() != MedicationAdministered.event_type:
        return set()
    return {*encounter.facilities, str((data.replacement or {}).get("facility", ""))}


def _notify(session: Session, keys: Keyring, other: str, event_id: str, note_key: str, kind: str) -> None:
    known = select(EncounterEvent).where(EncounterEvent.encounter_id == other, EncounterEvent.event_id == event_id)
    if session.exec(known).first() is not None:
        return
    row = session.exec(select(Encounter).where(Encounter.encounter_id == other).with_for_update()).one()
    row.next_sequence = first_sequence(session, row.next_sequence)
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
