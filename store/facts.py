"""Facts from the inbox: what `decide` reads.

Identity is restored from the vault; the domain applies the corrections.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlmodel import Session, col, select

from domain.billing.submission.responses import PayerResponse, responses_of
from domain.encounter.facts import Fact, Facts, fold
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
    """An encounter's own events as they came, corrections among them, each with its sequence; opened and parsed once."""

    own: tuple[Fact[EventData], ...] = ()
    sequences: tuple[int, ...] = ()

    def up_to(self, sequence: int | None) -> EncounterFacts:
        """The facts known at a sequence; all of them without one."""
        if sequence is None or not self.sequences or self.sequences[-1] <= sequence:
            return self
        known = sum(one <= sequence for one in self.sequences)
        return EncounterFacts(self.own[:known], self.sequences[:known])

    @cached_property
    def folded(self) -> Facts:
        """The facts after corrections, in clinical order."""
        return fold(self.own)

    @cached_property
    def responses(self) -> tuple[PayerResponse, ...]:
        """Every payer response to the encounter's claims, corrections applied."""
        return responses_of(self.folded)

    @cached_property
    def identity(self) -> Json | None:
        """The patient by the latest referral after its corrections; for claims and letters.

        Returns:
            {"patient": {...}, "member_id": ..., "erased": bool}, or None without a referral.
        """
        referral = self.folded.last(ReferralReceived)
        if referral is None:
            return None
        patient = referral.data.patient.model_dump(mode="json")
        return {"patient": patient, "member_id": referral.data.coverage.member_id, "erased": patient["mrn"] == ERASED}


def load_own(session: Session, keys: Keyring, encounter_id: str) -> EncounterFacts:
    """Every fact of an encounter. Events about facilities and certificate holders are not among them."""
    query = (
        select(EncounterEvent.sequence, Inbox)
        .join(Inbox, col(EncounterEvent.event_id) == Inbox.event_id)
        .where(
            EncounterEvent.encounter_id == encounter_id,
            col(EncounterEvent.type).not_in(NOTICES),
            col(Inbox.holder_event).is_(False),
        )
        .order_by(col(EncounterEvent.sequence))
    )
    rows = session.exec(query).all()
    events = _facts(session, keys, (row for _, row in rows))
    return EncounterFacts(tuple(events), tuple(sequence for sequence, _ in rows))


def load_holders(session: Session, keys: Keyring) -> list[Fact[EventData]]:
    """What a decision reads beside an encounter's own facts: certificates, readiness, and the doses that used up stock."""
    holders = holder_facts(session, keys)
    return [*holders, *_doses_given(session, keys, holders)]


def load_facts(
    db: Database, keys: Keyring, encounter_id: str, up_to_sequence: int
) -> tuple[list[Fact[EventData]], list[Fact[EventData]]]:
    """The facts of an encounter up to a sequence, and the holder facts of the installation."""
    with db.read() as session:
        return load_facts_in(session, keys, encounter_id, up_to_sequence)


def load_facts_in(
    session: Session, keys: Keyring, encounter_id: str, up_to_sequence: int | None
) -> tuple[list[Fact[EventData]], list[Fact[EventData]]]:
    """`load_facts` inside a session; without a sequence, all of them."""
    own = load_own(session, keys, encounter_id).up_to(up_to_sequence)
    return list(own.own), holder_facts(session, keys)


def identity_of(session: Session, keys: Keyring, encounter_id: str, up_to_sequence: int | None = None) -> Json | None:
    """The patient of an encounter, for a reader that requires nothing else of its facts."""
    return load_own(session, keys, encounter_id).up_to(up_to_sequence).identity


def holder_facts(session: Session, keys: Keyring) -> list[Fact[EventData]]:
    """Events about facilities and certificate holders as their corrections leave them."""
    rows = session.exec(select(Inbox).where(col(Inbox.holder_event).is_(True)).order_by(Inbox.event_id)).all()
    folded = fold(_facts(session, keys, rows))
    return [fact for fact in folded.all if not isinstance(fact.data, CorrectionMade)]


def _doses_given(session: Session, keys: Keyring, holders: Sequence[Fact[EventData]]) -> list[Fact[EventData]]:
    """Doses given to any patient since the oldest report of stock in effect, as corrected: patients share the stock."""
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


def _facts(session: Session, keys: Keyring, rows: Iterable[Inbox]) -> list[Fact[EventData]]:
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
