"""Places an event: matches or opens its encounter, moves identity to the vault, writes the row, assigns the sequence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from domain.events import HOLDER_TYPES, Envelope, EventData
from domain.events.access import ReferralReceived
from domain.events.governance import CertificationChanged, CorrectionMade
from intake import alerts
from intake.inbox import matching, notices
from store import identifiers, vault
from store.alerts import open_once
from store.installation import first_sequence
from store.keys import Keyring
from store.opaque import new_id
from store.tables import CertificationRow, Encounter, EncounterEvent, Inbox, sealed_for

OPEN = "open"


class NotAllowed(PermissionError):
    """The sender may not write for the facility the event or its encounter belongs to."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A checked event before it is placed.

    Attributes:
        event_id: the opaque id of the event.
        allowed: the facilities its sender may write for; None means all of them.
        also: other numbers of the appointment that it books.
    """

    envelope: Envelope
    data: EventData
    body: Mapping[str, Any]
    body_hash: str
    event_id: str
    received_at: datetime
    feed: str
    hint: identifiers.Hint | None = None
    allowed: frozenset[str] | None = None
    also: tuple[str, ...] = ()

    def dedupe_key(self, keys: Keyring) -> str:
        return identifiers.event_key(keys, self.envelope.source, self.envelope.id)


@dataclass(frozen=True, slots=True)
class Placed:
    """The encounter of a placed event and the keys that became known; or the reason why it must wait."""

    encounter_id: str | None = None
    known: frozenset[str] = frozenset()
    reason: str = ""


def attach(session: Session, keys: Keyring, arrival: Arrival) -> Placed:
    """Place an event in its encounter; opens one where its type may.

    Raises:
        NotAllowed: its sender may not write there.
    """
    own_key = arrival.dedupe_key(keys)
    named = facilities_of(arrival.data)
    _may_name(arrival)
    if _concerns_holders(session, keys, arrival):
        if not named and arrival.allowed is not None:
            raise NotAllowed("its sender may not correct what concerns every facility")
        return _attach_to_all_open(session, keys, arrival)
    match = matching.find(session, keys, arrival.envelope, arrival.data, arrival.hint)
    if match.reason:
        if match.belongs_to is not None:
            open_once(session, match.belongs_to, alerts.other_patient(own_key), arrival.received_at)
        return Placed(reason=match.reason)
    encounter_id = match.encounter_id or _open_encounter(session, arrival.received_at)
    encounter = _locked(session, encounter_id)
    if encounter.facilities and not named:
        _may_write_into(arrival, encounter.facilities)
    patient_ref = _write_inbox(session, keys, arrival, holder=False)
    encounter.facilities = sorted(named | set(encounter.facilities))
    _take_sequence(session, encounter, arrival, own_key)
    if isinstance(arrival.data, ReferralReceived):
        encounter.patient_ref = patient_ref
        if encounter.product == matching.UNKNOWN:
            encounter.product = arrival.data.product
    known = matching.add_aliases(
        session,
        keys,
        encounter_id,
        arrival.envelope,
        arrival.data,
        arrival.hint,
        arrival.received_at,
        arrival.also,
    )
    notices.notify_sharing(session, keys, encounter_id, arrival.event_id, own_key)
    notices.notify_of_stock(session, keys, encounter, arrival.data, arrival.event_id, own_key)
    return Placed(encounter_id, frozenset(known | {own_key}))


def facilities_of(data: EventData) -> frozenset[str]:
    """The facilities an event names: of a plan, a service, a readiness report or a certificate."""
    return frozenset(_named(data).values())


def _named(data: EventData) -> dict[str, str]:
    """The facilities an event names, by field."""
    planned = getattr(data, "facilities", None)
    named = {
        "data.facilities.apheresis": getattr(planned, "apheresis", None),
        "data.facilities.infusion": getattr(planned, "infusion", None),
        "data.facility": getattr(data, "facility", None),
        "data.holder": data.holder if isinstance(data, CertificationChanged) else None,
    }
    return {path: name for path, name in named.items() if name}


def check_sender(session: Session, arrival: Arrival, encounter_id: str | None) -> None:
    """Refuse a sender that may not write into an encounter: it learns nothing and stores nothing.

    Raises:
        NotAllowed: the encounter, or what the event names, is of other facilities.
    """
    _may_name(arrival)
    own = session.get_one(Encounter, encounter_id).facilities if encounter_id else ()
    if own:
        _may_write_into(arrival, own)


def _may_name(arrival: Arrival) -> None:
    """Refuse an event that names facilities its sender may not write for."""
    if arrival.allowed is None:
        return
    foreign = [path for path, name in _named(arrival.data).items() if name not in arrival.allowed]
    if foreign:
        raise NotAllowed(f"{', '.join(foreign)}: its sender may not write for this facility; {_own(arrival.allowed)}")


def _may_write_into(arrival: Arrival, facilities: Iterable[str]) -> None:
    """Refuse a sender without a right for the facilities of the encounter; the refusal does not name them."""
    if arrival.allowed is not None and not arrival.allowed & set(facilities):
        raise NotAllowed(
            f"subject: its sender may not write for the facility of its encounter; {_own(arrival.allowed)}"
        )


def _own(allowed: frozenset[str]) -> str:
    return f"it may write for {', '.join(sorted(allowed)) or 'none'}"


def _concerns_holders(session: Session, keys: Keyring, arrival: Arrival) -> bool:
    """An event about a facility or a certificate holder, or the correction of one."""
    if arrival.envelope.type in HOLDER_TYPES:
        return True
    if not isinstance(arrival.data, CorrectionMade):
        return False
    key = identifiers.event_key(keys, arrival.data.of.source, arrival.data.of.id)
    return bool(session.exec(select(Inbox.holder_event).where(Inbox.dedupe_key == key)).first())


def _attach_to_all_open(session: Session, keys: Keyring, arrival: Arrival) -> Placed:
    """Place a holder event in every open encounter; those opened later read it with all other holder events."""
    own_key = arrival.dedupe_key(keys)
    _write_inbox(session, keys, arrival, holder=True)
    if isinstance(arrival.data, CertificationChanged):
        session.add(_certification(keys, arrival, arrival.data))
    open_ones = session.exec(
        select(Encounter.encounter_id).where(Encounter.status == OPEN).order_by(Encounter.encounter_id)
    ).all()
    for encounter_id in open_ones:
        _take_sequence(session, _locked(session, encounter_id), arrival, own_key)
    return Placed(None, frozenset({own_key}))


def _certification(keys: Keyring, arrival: Arrival, data: CertificationChanged) -> CertificationRow:
    return CertificationRow(
        event_id=arrival.event_id,
        layer=data.layer.value,
        product=data.product,
        holder_key=keys.digest("holder", data.holder),
        status=data.status.value,
        valid_from=data.valid_from,
        valid_to=data.valid_to,
        time=arrival.envelope.time,
    )


def _open_encounter(session: Session, now: datetime) -> str:
    encounter_id = new_id("enc")
    session.add(Encounter(encounter_id=encounter_id, created_at=now))
    session.flush()
    return encounter_id


def _locked(session: Session, encounter_id: str) -> Encounter:
    query = select(Encounter).where(Encounter.encounter_id == encounter_id).with_for_update()
    return session.exec(query.execution_options(populate_existing=True)).one()


def _take_sequence(session: Session, encounter: Encounter, arrival: Arrival, note_key: str) -> None:
    encounter.next_sequence = first_sequence(session, encounter.next_sequence)
    session.add(
        EncounterEvent(
            encounter_id=encounter.encounter_id,
            sequence=encounter.next_sequence,
            event_id=arrival.event_id,
            type=arrival.envelope.type,
            note_key=note_key,
        )
    )
    encounter.next_sequence += 1
    session.flush()


def _write_inbox(session: Session, keys: Keyring, arrival: Arrival, holder: bool) -> str | None:
    envelope = arrival.envelope
    safe, identity = vault.withhold(envelope.type, arrival.body["data"])
    patient_ref = None
    if identity is not None:
        key = _patient_key(keys, arrival)
        patient_ref = vault.remember(session, keys, arrival.event_id, identity, key, arrival.received_at)
    body = json.dumps({**arrival.body, "data": safe}, sort_keys=True)
    session.add(
        Inbox(
            event_id=arrival.event_id,
            dedupe_key=arrival.dedupe_key(keys),
            body_hash=arrival.body_hash,
            type=envelope.type,
            feed=arrival.feed,
            subject_key=identifiers.alias_key(keys, envelope.subject),
            time=envelope.time,
            received_at=arrival.received_at,
            body=keys.seal(body.encode(), sealed_for("inbox.body", arrival.event_id)),
            patient_ref=patient_ref,
            holder_event=holder,
        )
    )
    session.flush()
    return patient_ref


def _patient_key(keys: Keyring, arrival: Arrival) -> str:
    """The patient key: by record number and infusion facility; of a correction with neither, a key of its own."""
    data: Mapping[str, Any] = arrival.body["data"]
    if isinstance(arrival.data, CorrectionMade):
        data = data["replacement"]
    try:
        return vault.mrn_key(keys, str(data["patient"]["mrn"]), str(data["facilities"]["infusion"]))
    except (KeyError, TypeError):
        return keys.digest("mrn-less", arrival.event_id)
