"""Facts out of the inbox: what `decide` reads.

Identity is put back from the vault; the corrections of an encounter are the domain's to apply.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlmodel import Session, col, select

from domain.billing.submission.responses import PayerResponse, replies
from domain.encounter.facts import Fact, fold
from domain.events import EventData, parse_data
from domain.events.access import ReferralReceived
from domain.events.care import FacilityReadiness, MedicationAdministered
from domain.events.governance import CorrectionMade
from store.engine import Database
from store.keys import Keyring
from store.tables import NOTICES, EncounterEvent, Inbox, Patient, sealed_for
from store.vault import ERASED, Json, identities, restore


@dataclass(frozen=True)
class EncounterFacts:
    """An encounter's own events as they came, corrections among them, each with its sequence; loaded once for an activity."""

    own: tuple[Fact[EventData], ...] = ()
    sequences: tuple[int, ...] = ()

    def up_to(self, sequence: int | None) -> EncounterFacts:
        """Those up to a sequence; without one, all of them."""
        if sequence is None or not self.sequences or self.sequences[-1] <= sequence:
            return self
        count = sum(one <= sequence for one in self.sequences)
        return EncounterFacts(self.own[:count], self.sequences[:count])

    @cached_property
    def responses(self) -> tuple[PayerResponse, ...]:
        """Every payer response to the claims of the encounter, corrections applied."""
        return replies(fold(self.own))

    @cached_property
    def identity(self) -> Json | None:
        """Who the patient is, as the latest referral after its corrections states; for claims and letters.

        Returns:
            {"patient": {...}, "member_id": ..., "erased": bool}, or None while no referral was received.
        """
        referral = fold(self.own).last(ReferralReceived)
        if referral is None:
            return None
        patient = referral.data.patient.model_dump(mode="json")
        return {"patient": patient, "member_id": referral.data.coverage.member_id, "erased": patient["mrn"] == ERASED}


def load_own(session: Session, keys: Keyring, encounter_id: str, up_to_sequence: int | None = None) -> EncounterFacts:
    """The encounter's own facts; with a sequence, those up to it."""
    query = (
        select(Inbox, EncounterEvent.sequence)
        .join(EncounterEvent, col(EncounterEvent.event_id) == Inbox.event_id)
        .where(
            EncounterEvent.encounter_id == encounter_id,
            col(EncounterEvent.type).not_in(NOTICES),
            col(Inbox.holder_event).is_(False),
        )
        .order_by(col(EncounterEvent.sequence))
    )
    if up_to_sequence is not None:
        query = query.where(EncounterEvent.sequence <= up_to_sequence)
    found = session.exec(query).all()
    own = _facts(session, keys, [row for row, _ in found])
    return EncounterFacts(tuple(own), tuple(sequence for _, sequence in found))


def load_facts(
    db: Database, keys: Keyring, encounter_id: str, up_to_sequence: int
) -> tuple[list[Fact[EventData]], list[Fact[EventData]]]:
    """The facts of an encounter up to a sequence, and the holder facts of the installation.

    Returns:
        The encounter's own events as they came, corrections among them; and the events about facilities and certificate
        holders, corrected already and without those retracted, in clinical order.
    """
    with db.read() as session:
        return load_facts_in(session, keys, encounter_id, up_to_sequence)


def load_facts_in(
    session: Session, keys: Keyring, encounter_id: str, up_to_sequence: int | None
) -> tuple[list[Fact[EventData]], list[Fact[EventData]]]:
    """`load_facts` inside a session; without a sequence, all of them."""
    own = load_own(session, keys, encounter_id, up_to_sequence)
    return list(own.own), holder_facts(session, keys)


def identity_of(session: Session, keys: Keyring, encounter_id: str, up_to_sequence: int | None = None) -> Json | None:
    """Who the patient of an encounter is, as the latest referral after its corrections says; for claims and letters.

    With a sequence, as it was known then: a void names the insured that the claim it takes back named.

    Returns:
        {"patient": {...}, "member_id": ..., "erased": bool}, or None while no referral has come.
    """
    return load_own(session, keys, encounter_id, up_to_sequence).identity


def holder_facts(session: Session, keys: Keyring) -> list[Fact[EventData]]:
    """Events about facilities and certificate holders as their corrections leave them."""
    rows = session.exec(select(Inbox).where(col(Inbox.holder_event).is_(True)).order_by(Inbox.event_id)).all()
    folded = fold(_facts(session, keys, rows))
    return [fact for fact in folded.all if not isinstance(fact.data, CorrectionMade)]


def doses_given(session: Session, keys: Keyring, holders: Sequence[Fact[EventData]]) -> list[Fact[EventData]]:
    """Doses that any patient was given since the oldest report of stock that still counts, as corrected: stock is shared."""
    reports: dict[str, datetime] = {}
    for fact in holders:
        if isinstance(fact.data, FacilityReadiness):
            reports[fact.data.facility] = max(fact.time, reports.get(fact.data.facility, fact.time))
    if not reports:
        return []
    kinds = (MedicationAdministered.event_type, CorrectionMade.event_type)
    query = select(Inbox).where(
        col(Inbox.type).in_(kinds), Inbox.time >= min(reports.values()), col(Inbox.holder_event).is_(False)
    )
    folded = fold(_facts(session, keys, session.exec(query.order_by(Inbox.event_id)).all()))
    return [fact for fact in folded.all if isinstance(fact.data, MedicationAdministered)]


def open_body(keys: Keyring, row: Inbox) -> Json:
    """The stored event, identity still withheld."""
    body: Json = json.loads(keys.open(row.body, sealed_for("inbox.body", row.event_id)))
    return body


def _facts(session: Session, keys: Keyring, rows: Sequence[Inbox]) -> list[Fact[EventData]]:
    vault: dict[str, dict[str, Json]] = {}
    return [_fact(keys, row, _identity(session, keys, row, vault)) for row in rows]


def _identity(session: Session, keys: Keyring, row: Inbox, vault: dict[str, dict[str, Json]]) -> Json | None:
    if row.patient_ref is None:
        return None
    if row.patient_ref not in vault:
        patient = session.get_one(Patient, row.patient_ref)
        vault[row.patient_ref] = identities(keys, patient)
    return vault[row.patient_ref].get(row.event_id)


def _fact(keys: Keyring, row: Inbox, identity: Json | None) -> Fact[EventData]:
    body: dict[str, Any] = open_body(keys, row)
    data = parse_data(row.type, restore(row.type, body["data"], identity), kept=True)
    return Fact(row.event_id, body["source"], body["id"], row.time, row.received_at, data)
