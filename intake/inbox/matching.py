"""Matches an event to its encounter: by what it corrects, by alias, by record number and facility. Never a guess."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from domain.billing.submission.responses import RESPONSES
from domain.encounter.record import aliases_of
from domain.events import OPENING_TYPES, Envelope, EventData
from domain.events.access import ReferralReceived
from domain.events.governance import CorrectionMade
from domain.events.revenue import ClaimAcknowledged, ClaimRecouped, ClaimRemitted
from intake import alerts
from intake.site_mapping import Known, Named
from store.alerts import open_once
from store.facts import identity_of
from store.identifiers import CELL_KINDS, MRN, ORDER, SHARED, Hint, alias_key, claim_key, event_key, named
from store.keys import Keyring
from store.merged import same_patient
from store.tables import NOTICES, Alias, ClaimVersion, Encounter, EncounterEvent, Inbox, sealed_for
from store.vault import mrn_key

PAYER_CLAIM = "payer_claim"
UNKNOWN = "unknown"
NEVER_ALONE = frozenset({"lot", "maker"})
"""Kinds of identifiers that collide across manufacturers (corrections G): they match no encounter."""
APPOINTMENT, ADMISSION = "appointment", "admission"
BOOKING_KINDS = frozenset({APPOINTMENT, ADMISSION})
APPOINTMENT_NUMBER = "appointment_number"
"""Another number of an appointment (of the placer, where it is known by the filler's); its value is the one it is known by."""

NO_SUBJECT = "no encounter is known by this subject"
NO_CLAIM = "no claim has this control number"
OTHER_PATIENT = "this order belongs to a patient with another record number; correct the order or the record number"
SEVERAL = "its identifiers name different encounters; correct the subject at the sender and replay"


@dataclass(frozen=True, slots=True)
class Match:
    """The result of matching: an encounter, a new one to open, or the reason why the event must wait."""

    encounter_id: str | None = None
    opens: bool = False
    reason: str = ""
    belongs_to: str | None = None


def referral_key(keys: Keyring, data: EventData) -> str | None:
    """The record-number key of a referral."""
    if isinstance(data, ReferralReceived):
        return mrn_key(keys, data.patient.mrn, data.facilities.infusion)
    return None


def waiting_keys(keys: Keyring, envelope: Envelope, data: EventData, hint: Hint | None) -> set[str]:
    """Every key that, once known, may match a waiting event."""
    if isinstance(data, ClaimRecouped):
        return {claim_key(keys, data.control_number), alias_key(keys, data.control_number)}
    if isinstance(data, ClaimAcknowledged | ClaimRemitted):
        return {claim_key(keys, data.control_number)}
    found = {alias_key(keys, envelope.subject)} | {alias_key(keys, value) for _, value in aliases_of(data)}
    if isinstance(data, CorrectionMade):
        found.add(event_key(keys, data.of.source, data.of.id))
    if hint is not None:
        found.add(mrn_key(keys, hint.mrn, hint.facility))
    if (own := referral_key(keys, data)) is not None:
        found.add(own)
    return found


def find(session: Session, keys: Keyring, envelope: Envelope, data: EventData, hint: Hint | None) -> Match:
    """Match an event by the rules of design section 4."""
    if isinstance(data, ClaimRecouped):
        return _by_payer_number(session, keys, data.control_number)
    if isinstance(data, ClaimAcknowledged | ClaimRemitted):
        return _by_control_number(session, data.control_number)
    if isinstance(data, CorrectionMade) and (home := _home_of(session, keys, data)):
        return Match(home)
    for candidates in _candidates(session, keys, envelope, data, hint):
        if len(candidates) == 1:
            return _of_the_same_patient(session, keys, candidates.pop(), data)
        if candidates:
            return Match(reason=SEVERAL)
    if envelope.type in OPENING_TYPES:
        return Match(opens=True)
    return Match(reason=NO_SUBJECT)


def _of_the_same_patient(session: Session, keys: Keyring, encounter_id: str, data: EventData) -> Match:
    """Match an encounter, unless a referral for its order has another patient's record number; merged numbers are the same."""
    own = referral_key(keys, data)
    if isinstance(data, ReferralReceived) and own and not _has_number(session, encounter_id, own):
        known = identity_of(session, keys, encounter_id)
        if known and not known["erased"] and str(known["patient"]["mrn"]).strip() != data.patient.mrn.strip():
            return Match(reason=OTHER_PATIENT, belongs_to=encounter_id)
    return Match(encounter_id)


def _has_number(session: Session, encounter_id: str, key: str) -> bool:
    numbers = same_patient(session, key)
    query = select(Alias).where(Alias.encounter_id == encounter_id, Alias.kind == MRN)
    return session.exec(query.where(col(Alias.alias_key).in_(numbers))).first() is not None


def _candidates(
    session: Session, keys: Keyring, envelope: Envelope, data: EventData, hint: Hint | None
) -> Sequence[set[str]]:
    """The encounters each rule names, the strongest rule first."""
    # Appointment and admission numbers repeat from system to system: alone they do not match a new order to an encounter.
    weak = BOOKING_KINDS if envelope.type in OPENING_TYPES else frozenset()
    product = data.product if isinstance(data, ReferralReceived) else None
    by_mrn = referral_key(keys, data) or (mrn_key(keys, hint.mrn, hint.facility) if hint else None)
    return (
        named(session, alias_key(keys, envelope.subject), ORDER),
        named(session, alias_key(keys, envelope.subject), None),
        {
            encounter
            for kind, value in aliases_of(data)
            if kind not in weak | NEVER_ALONE
            for encounter in named(session, alias_key(keys, value), kind)
        },
        _open_with(session, by_mrn, product) if by_mrn else set(),
    )


def _open_with(session: Session, key: str, product: str | None) -> set[str]:
    """Open encounters of a record number; of the same product, or of one that no referral has named yet."""
    query = (
        select(Encounter.encounter_id, Encounter.product)
        .join(Alias, col(Alias.encounter_id) == Encounter.encounter_id)
        .where(col(Alias.alias_key).in_(same_patient(session, key)), Alias.kind == MRN, Encounter.status == "open")
    )
    return {encounter for encounter, mine in session.exec(query) if product is None or mine in (product, UNKNOWN)}


def _by_control_number(session: Session, control_number: str) -> Match:
    found = session.exec(select(ClaimVersion).where(ClaimVersion.control_number == control_number)).first()
    return Match(found.encounter_id) if found else Match(reason=NO_CLAIM)


def _by_payer_number(session: Session, keys: Keyring, number: str) -> Match:
    """Match by control number, else by payer claim control number of an earlier response."""
    own = _by_control_number(session, number)
    found = named(session, alias_key(keys, number), PAYER_CLAIM)
    return own if own.encounter_id or len(found) != 1 else Match(found.pop())


def known_claims(session: Session, keys: Keyring, numbers: Collection[str]) -> set[str]:
    """Those of the numbers that a claim has, as control number or payer claim control number."""
    own = set(session.exec(select(ClaimVersion.control_number).where(col(ClaimVersion.control_number).in_(numbers))))
    by_key = {alias_key(keys, number): number for number in numbers}
    aliases = select(Alias.alias_key, Alias.encounter_id).where(
        col(Alias.alias_key).in_(by_key), Alias.kind == PAYER_CLAIM
    )
    holders: dict[str, set[str]] = {}
    for key, encounter in session.exec(aliases):
        holders.setdefault(key, set()).add(encounter)
    named_by_payer = {by_key[key] for key, encounters in holders.items() if len(encounters) == 1}
    return {number for number in own if number} | named_by_payer


def _home_of(session: Session, keys: Keyring, correction: CorrectionMade) -> str | None:
    """The encounter of the event that is corrected; None for a holder event."""
    key = event_key(keys, correction.of.source, correction.of.id)
    return session.exec(
        select(EncounterEvent.encounter_id)
        .join(Inbox, col(Inbox.event_id) == EncounterEvent.event_id)
        .where(Inbox.dedupe_key == key, col(Inbox.holder_event).is_(False), col(EncounterEvent.type).not_in(NOTICES))
    ).first()


def add_aliases(
    session: Session,
    keys: Keyring,
    encounter_id: str,
    envelope: Envelope,
    data: EventData,
    hint: Hint | None,
    now: datetime,
    also: Sequence[str] = (),
) -> set[str]:
    """Register the identifiers of an attached event; returns the keys that became known.

    Args:
        also: other numbers of the appointment that it books.
    """
    known: set[str] = set()
    for other in also:
        _add_number(session, keys, encounter_id, other, str(getattr(data, "appointment_id", "")))
        known.add(alias_key(keys, other))
    pairs = [(ORDER, envelope.subject), *aliases_of(data)]
    if isinstance(data, (CorrectionMade, *RESPONSES)):
        number = getattr(data, "payer_claim_number", None)
        pairs = [(PAYER_CLAIM, number)] if number else []
    for kind, value in pairs:
        known |= _add(session, keys, encounter_id, kind, alias_key(keys, value), value, now)
    by_mrn = referral_key(keys, data) or (mrn_key(keys, hint.mrn, hint.facility) if hint else None)
    if by_mrn:
        known |= _add(session, keys, encounter_id, MRN, by_mrn, "", now)
        if by_mrn in known:
            known |= same_patient(session, by_mrn)
    session.flush()
    return known


def _add(
    session: Session, keys: Keyring, encounter_id: str, kind: str, key: str, value: str, now: datetime
) -> set[str]:
    if session.get(Alias, (key, encounter_id, kind)) is not None:
        return set()
    taken = session.exec(select(Alias.encounter_id).where(Alias.alias_key == key, Alias.kind == kind)).first()
    if taken is not None and kind != MRN:
        open_once(session, encounter_id, alerts.alias_collision(kind, key, kind in CELL_KINDS), now)
        if kind in CELL_KINDS and session.get(Alias, (key, encounter_id, SHARED + kind)) is None:
            sealed = keys.seal(value.strip().encode(), sealed_for("aliases.value", key))
            session.add(Alias(alias_key=key, encounter_id=encounter_id, kind=SHARED + kind, value=sealed))
        return set()
    sealed = keys.seal(value.strip().encode(), sealed_for("aliases.value", key))
    session.add(Alias(alias_key=key, encounter_id=encounter_id, kind=kind, value=sealed))
    return {key}


def _number_key(keys: Keyring, number: str) -> str:
    """Apart from other identifiers: systems number appointments and orders alike, and this one finds an appointment only."""
    return alias_key(keys, f"{APPOINTMENT_NUMBER}\x1f{number.strip()}")


def _add_number(session: Session, keys: Keyring, encounter_id: str, number: str, own: str) -> None:
    """Note that a number names an appointment; of several appointments with one number it names none."""
    key = _number_key(keys, number)
    row = session.get(Alias, (key, encounter_id, APPOINTMENT_NUMBER))
    sealed_as = sealed_for("aliases.value", key)
    if row is None:
        row = Alias(alias_key=key, encounter_id=encounter_id, kind=APPOINTMENT_NUMBER, value=b"")
    elif keys.open(row.value, sealed_as).decode() == own:
        return
    else:
        own = ""
    row.value = keys.seal(own.encode(), sealed_as)
    session.add(row)


def recognize(session: Session, keys: Keyring, named_by: Named) -> Known:
    """What is known here of the numbers that a message names."""
    by_key: dict[str, str] = {alias_key(keys, value): value for value in named_by.numbers}
    others = [_number_key(keys, number) for number in named_by.placers]
    if not by_key:
        return Known()
    query = select(Alias).where(col(Alias.alias_key).in_([*by_key, *others]), Alias.kind != MRN)
    rows = session.exec(query).all()
    kinds = {(by_key.get(row.alias_key), row.kind) for row in rows}
    own = next((number for number in named_by.appointments if (number, APPOINTMENT) in kinds), None)
    if own is None:
        meant = [row for row in rows if row.kind == APPOINTMENT_NUMBER]
        if len(meant) == 1:
            own = keys.open(meant[0].value, sealed_for("aliases.value", meant[0].alias_key)).decode() or None
    return Known(
        orders=frozenset(value for value in named_by.orders if (value, ORDER) in kinds),
        appointment=own,
        visits=frozenset(value for value in named_by.visits if (value, ADMISSION) in kinds),
    )


def keys_of(keys: Keyring, identifiers: Iterable[str], hint: Hint | None, records: Iterable[Hint] = ()) -> set[str]:
    """The keys of identifiers, a hint and record numbers, under which a message waits."""
    found = {alias_key(keys, value) for value in identifiers}
    return found | {mrn_key(keys, one.mrn, one.facility) for one in (*filter(None, [hint]), *records)}


def knows(
    session: Session,
    keys: Keyring,
    identifiers: Collection[str],
    hint: Hint | None,
    records: Iterable[Hint] = (),
) -> bool:
    """True when an encounter carries one of the identifiers, or an open one a record number."""
    named = [alias_key(keys, value) for value in identifiers]
    query = select(Alias.encounter_id).where(col(Alias.alias_key).in_(named), Alias.kind != MRN).limit(1)
    if named and session.exec(query).first() is not None:
        return True
    numbers = (*filter(None, [hint]), *records)
    return any(_open_with(session, mrn_key(keys, one.mrn, one.facility), None) for one in numbers)
