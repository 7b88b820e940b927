"""Erasure of one patient: the identity is removed; services and claims stay, without a name.

Removed: name, record number, member number, birth day and month, street, order, visit and authorization numbers, document
references, free text and notes, originals in quarantine, claim files and payer responses, every identifier by which the
encounter could be found. Kept, because billing
and the chain of identity must stay verifiable: services, dates, codes, amounts, cell identifiers, the year of birth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, or_, select

from domain.events.governance import CorrectionMade
from store import fhir
from store.engine import Database, serialize
from store.facts import open_body
from store.keys import Keyring
from store.merged import same_patient
from store.originals import open_body as open_original
from store.outbox_index import OutboxIndex
from store.patient_footprint import Footprint, controls_of, erase_files, erase_recovered, erase_rows, footprint_of
from store.seals import BY_NAME, replaced
from store.tables import (
    NOTICES,
    Alias,
    Encounter,
    EncounterEvent,
    Inbox,
    InboxConflict,
    Patient,
    Quarantine,
    QuarantineKey,
    RecordMerge,
    sealed_for,
)
from store.vault import ERASED, Json, audit, identities

TEXTS = frozenset({"reason", "document", "certificate", "signer", "assessor_role"})
"""Fields of event data that hold free text or another system's reference; replaced wherever they occur."""

VOCABULARY = frozenset({"progression", "intolerance", "completed", "other", "death", "choice", "product_unusable"})
"""Coded values of the catalog in such fields: they name no person, and gates depend on them."""

NUMBERS = frozenset({"appointment_id", "admission_id", "charge_id", "visit", "number", "replaces"})
"""Numbers of other systems (bookings, stays, charges, authorizations) that join events; replaced by new values."""

Reference = tuple[str, str]
"""Source and id of an event."""


class StillOpen(ValueError):
    """An encounter of the patient is not closed: its claims still require the identity."""


def erase_patient(
    db: Database, keys: Keyring, encounter_id: str, actor: str, now: datetime, directories: Sequence[Path] = ()
) -> list[str]:
    """Erase the patient of an encounter, in all encounters of the patient; returns their ids.

    Files are removed first, because the rows are what recognizes them. Erasing again finishes an interrupted erasure.

    Args:
        directories: where claim files and payer responses are.

    Raises:
        LookupError: there is no such encounter, or its patient is unknown.
        StillOpen: an encounter of the patient is still open.
    """
    with db.write() as session:
        serialize(session)
        patients = _patients(session, encounter_id)
        encounters = _encounters(session, patients)
        for encounter in encounters:
            if session.get_one(Encounter, encounter).status != "closed":
                raise StillOpen("an encounter of this patient is open; it closes by itself when nothing is due")
        rows = [session.get_one(Patient, patient) for patient in patients]
        events = _events(session, encounters)
        ranks, numbers = _ranks(keys, events), _numbers(keys, events)
        footprint = footprint_of(session, keys, rows, encounters, numbers.keys() - _charges(keys, events))
        erase_files(directories, footprint, controls_of(session, encounters))
        _erase_originals(session, keys, footprint)
        fhir.erase(session, [key for key, text in fhir.named_in(session, keys) if footprint.in_text(text)])
        erase_recovered(session, keys, footprint)
        erase_rows(session, encounters, footprint)
        for directory in directories:
            OutboxIndex(directory, keys).forget(encounters)
        for row in rows:
            _erase_identity(session, keys, row)
        for event in events:
            _erase_event(session, keys, event, ranks, numbers, actor)
        session.execute(delete(Alias).where(col(Alias.encounter_id).in_(encounters)))
        for encounter in encounters:
            audit(session, actor, "erase", encounter, ERASED, now)
        return encounters


def _patients(session: Session, encounter_id: str) -> list[str]:
    """Every vault row of the patient, with those of merged record numbers; deletes the merges."""
    found = {row.patient_ref for row in _events(session, [encounter_id]) if row.patient_ref}
    if not found:
        raise LookupError("no patient is known of this encounter")
    numbers = {session.get_one(Patient, ref).mrn_key for ref in found}
    merged = {key for number in numbers for key in same_patient(session, number)}
    ties = or_(col(RecordMerge.old_key).in_(merged), col(RecordMerge.new_key).in_(merged))
    session.execute(delete(RecordMerge).where(ties))
    found |= set(session.exec(select(Patient.patient_ref).where(col(Patient.mrn_key).in_(merged))))
    return sorted(found)


def _encounters(session: Session, patients: Iterable[str]) -> list[str]:
    query = (
        select(EncounterEvent.encounter_id)
        .join(Inbox, col(Inbox.event_id) == EncounterEvent.event_id)
        .where(col(Inbox.patient_ref).in_(list(patients)), col(EncounterEvent.type).not_in(NOTICES))
        .distinct()
    )
    return sorted(session.exec(query))


def _events(session: Session, encounters: list[str]) -> list[Inbox]:
    """The encounters' own events, without those about facilities, which name no patient."""
    query = (
        select(Inbox)
        .join(EncounterEvent, col(EncounterEvent.event_id) == Inbox.event_id)
        .where(
            col(EncounterEvent.encounter_id).in_(encounters),
            col(EncounterEvent.type).not_in(NOTICES),
            col(Inbox.holder_event).is_(False),
        )
    )
    return list(session.exec(query))


def _erase_identity(session: Session, keys: Keyring, patient: Patient) -> None:
    versions = {event: _anonymous(identity) for event, identity in identities(keys, patient).items()}
    purpose = sealed_for("patients.identity", patient.patient_ref)
    patient.identity = keys.seal(json.dumps(versions, sort_keys=True).encode(), purpose)
    patient.mrn_key = f"{ERASED}:{patient.patient_ref}"
    session.add(patient)


def _erase_originals(session: Session, keys: Keyring, footprint: Footprint) -> None:
    """Erase the originals about the patient: invalid, waiting, and translated later."""
    for row in session.exec(select(Quarantine).where(Quarantine.state != ERASED)):
        kept = open_original(keys, row)
        texts = (kept.raw or "", json.dumps(kept.event, ensure_ascii=False), kept.hint.mrn if kept.hint else "")
        if any(footprint.in_text(text) for text in texts):
            _erase_original(session, keys, row)
            row.state = ERASED


def _erase_original(session: Session, keys: Keyring, row: Quarantine) -> None:
    row.body = keys.seal(b"{}", sealed_for("quarantine.body", row.quarantine_id))
    row.subject_key, row.reasons, row.closed_note, row.expires_at = ERASED, [], None, None
    session.execute(delete(QuarantineKey).where(col(QuarantineKey.quarantine_id) == row.quarantine_id))
    session.add(row)


def _anonymous(identity: Mapping[str, Any]) -> Json:
    """An identity that fits the catalog and names no person; state, sex and year of birth stay for statistics."""
    known = identity.get("patient")
    if not isinstance(known, dict):
        return dict.fromkeys(identity, ERASED)
    address = known.get("address")
    state = address.get("state", "XX") if isinstance(address, dict) else "XX"
    patient = {
        "mrn": ERASED,
        "name": {"family": ERASED, "given": ERASED},
        "birth_date": f"{str(known.get('birth_date', '1900'))[:4]}-01-01",
        "sex": known.get("sex", "unknown"),
        "address": {"line": ERASED, "city": ERASED, "state": state, "postal_code": "0" * 5},
    }
    return {"patient": patient} | ({"member_id": ERASED} if "member_id" in identity else {})


def _ranks(keys: Keyring, events: Iterable[Inbox]) -> dict[Reference, str]:
    """New ids in the order of the old ones: events of one moment stay in their order by source and id."""
    named = sorted({_reference(open_body(keys, event)) for event in events})
    return {reference: f"{ERASED}-{rank:06d}" for rank, reference in enumerate(named, start=1)}


def _numbers(keys: Keyring, events: Iterable[Inbox]) -> dict[str, str]:
    """New values for the numbers that join events, in the order of the old ones; events that shared a number still do."""
    found = sorted({value for event in events for value in _joining(open_body(keys, event)["data"])})
    kept = (value for value in found if not value.startswith(ERASED))
    return {value: f"{ERASED}-{rank:06d}" for rank, value in enumerate(kept, start=1)}


def _charges(keys: Keyring, events: Iterable[Inbox]) -> set[str]:
    """Charge numbers; too common for one alone to recognize a patient."""
    bodies = (open_body(keys, event)["data"] for event in events)
    return {str(data["charge_id"]) for data in bodies if "charge_id" in data}


def _joining(value: Any) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        if key in NUMBERS and isinstance(inner, str):
            yield inner
        else:
            yield from _joining(inner)


def _reference(body: Mapping[str, Any]) -> Reference:
    return str(body["source"]), str(body["id"])


def _erase_event(
    session: Session,
    keys: Keyring,
    row: Inbox,
    ranks: Mapping[Reference, str],
    numbers: Mapping[str, str],
    actor: str,
) -> None:
    body = open_body(keys, row)
    data = _without_texts(body["data"], numbers)
    if row.type == CorrectionMade.event_type:
        data["of"] = {"source": data["of"]["source"], "id": ranks.get(_reference(body["data"]["of"]), ERASED)}
    own = {"id": ranks[_reference(body)], "source": body["source"], "subject": ERASED, "data": data}
    whole = _attributes(body) | own
    replaced(session, keys, BY_NAME["contents"], [row], "patient erased", actor)
    row.body = keys.seal(json.dumps(whole, sort_keys=True).encode(), sealed_for("inbox.body", row.event_id))
    row.subject_key = ERASED
    session.add(row)
    session.execute(delete(InboxConflict).where(col(InboxConflict.event_id) == row.event_id))
    for kept in session.exec(select(Quarantine).where(Quarantine.dedupe_key == row.dedupe_key)):
        _erase_original(session, keys, kept)


def _attributes(body: Mapping[str, Any]) -> Json:
    """The standard attributes of the envelope; a sender's extensions may name a person."""
    return {name: body[name] for name in ("specversion", "type", "time") if name in body}


def _without_texts(value: Any, numbers: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _anonymous_member(key, inner, numbers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_texts(inner, numbers) for inner in value]
    return value


def _anonymous_member(key: str, value: Any, numbers: Mapping[str, str]) -> Any:
    if key in NUMBERS and isinstance(value, str):
        return numbers.get(value, value)
    return ERASED if _is_text(key, value) else _without_texts(value, numbers)


def _is_text(key: str, value: Any) -> bool:
    return key in TEXTS and isinstance(value, str) and value not in VOCABULARY
