"""Finds the encounter of a path, and turns rows into responses."""

from __future__ import annotations

import json
from typing import Any

from app.api.actors import Actor
from app.api.answers import (
    AlertAnswer,
    ClaimAnswer,
    ClaimElsewhere,
    CustodyLink,
    EncounterAnswer,
    EncounterSummary,
    Json,
    Payment,
)
from app.api.parts import OutOfReach, Parts
from app.api.problems import Refusal
from domain.billing.model import EditSeverity
from domain.billing.prior_system_claims import billed_elsewhere
from domain.billing.submission.versions import ClaimStatus
from domain.encounter.record import Record
from domain.events.cutover import EncounterImported
from store.claims import status_of
from store.emergency import active, outcome_of
from store.encounters import has_event
from store.engine import Session
from store.facts import load_own
from store.identifiers import look_up
from store.keys import Keyring
from store.tables import AlertRecord, ClaimVersion, CustodyRecord, EmergencyAccess, Encounter
from store.vault import audit

UNKNOWN = "no encounter has this ID or identifier"
PLACES = "paths of an encounter: timeline, holds, claims, alerts, explain, packet, emergency-access"


def encounter_of(session: Session, parts: Parts, actor: Actor, reference: str) -> Encounter:
    """Returns the encounter of an ID or identifier, if the actor may see it.

    Raises:
        Refusal: 404 if there is none, 409 if there are several.
    """
    every = known(session, parts, reference)
    found = [encounter for encounter in every if actor.sees(encounter.facilities)]
    if not found and actor.emergency:
        found = [one for one in every if emergency_access(session, parts, actor, one)]
    if not found and every:
        raise OutOfReach(actor, every[0].encounter_id, _unknown(reference))
    return only(found, reference)


def known(session: Session, parts: Parts, reference: str) -> list[Encounter]:
    """Returns every encounter of an ID or identifier, whoever may see it."""
    return [session.get_one(Encounter, one) for one in look_up(session, parts.keys, reference)]


def only(found: list[Encounter], reference: str) -> Encounter:
    """Returns the one encounter that was found.

    Raises:
        Refusal: 404 if there is none, 409 if there are several.
    """
    if not found:
        raise Refusal(404, _unknown(reference))
    if len(found) > 1:
        raise Refusal(409, "several encounters have this identifier; use the encounter ID")
    return found[0]


def _unknown(reference: str) -> str:
    return f"{UNKNOWN}; {PLACES}" if "/" in reference else UNKNOWN


def emergency_access(session: Session, parts: Parts, actor: Actor, encounter: Encounter) -> EmergencyAccess | None:
    """Returns the emergency access without which the actor could not read the encounter; None if it needs none."""
    if not actor.emergency or actor.sees(encounter.facilities):
        return None
    return active(session, encounter.encounter_id, actor.name, parts.clock())


def read_encounter(parts: Parts, actor: Actor, action: str, reference: str) -> Encounter:
    """Returns the encounter of a reference; the access is audited, also for an unknown one."""
    with parts.db.write() as session:
        try:
            encounter = encounter_of(session, parts, actor, reference)
        except OutOfReach:
            raise
        except Refusal as refusal:
            outcome = refusal
        else:
            outcome_read = outcome_of(emergency_access(session, parts, actor, encounter))
            audit(session, actor.name, action, encounter.encounter_id, outcome_read, parts.clock())
            return encounter
        audit(session, actor.name, action, "(unknown)", "refused", parts.clock())
    raise outcome


def open_holds(encounter: Encounter) -> list[Json]:
    return [hold for hold in encounter.view.get("holds", ()) if not hold.get("override")]


def summary(encounter: Encounter) -> EncounterSummary:
    """Returns an encounter for a list."""
    return EncounterSummary(**_summary(encounter))


def _summary(encounter: Encounter) -> Json:
    last = encounter.next_sequence - 1
    return {
        "encounter_id": encounter.encounter_id,
        "status": encounter.status,
        "stage": encounter.stage,
        "product": encounter.product,
        "payer": encounter.payer,
        "payer_class": encounter.payer_class,
        "holds_open": encounter.holds_open,
        "hold_kinds": sorted({hold["kind"] for hold in open_holds(encounter)}),
        "next_due": encounter.next_due,
        "created_at": encounter.created_at,
        "last_sequence": last,
        "decided_sequence": encounter.decided_sequence,
        "up_to_date": encounter.decided_sequence >= last,
    }


def whole(encounter: Encounter, verified: bool) -> EncounterAnswer:
    """Returns an encounter by its last decision."""
    view: Json = encounter.view
    lists = ("cleared", "gates", "holds", "milestones", "deadlines", "advisories", "claims_waiting")
    return EncounterAnswer(
        **_summary(encounter),
        **{name: view.get(name, []) for name in lists},
        decided_at=encounter.decided_at,
        edition=view.get("edition"),
        rulebook_digest=encounter.rulebook_digest,
        outcome=view.get("outcome"),
        vein_to_vein_days=view.get("vein_to_vein_days"),
        custody_verified=verified,
    )


def custody_link(record: CustodyRecord) -> CustodyLink:
    """Returns a link with its content; the link's own members win over content of the same name."""
    content: dict[str, Any] = json.loads(record.content)
    own = {
        "position": record.position,
        "key": record.key,
        "kind": record.kind,
        "occurred": record.occurred,
        "recorded_at": record.recorded_at,
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }
    return CustodyLink(**{**content, **own})


def claim_answer(row: ClaimVersion) -> ClaimAnswer:
    """Returns a claim's document with version, state and errors."""
    edits = row.document.get("edits", ())
    return ClaimAnswer.model_validate(
        {
            **row.document,
            "version": row.version,
            "state": row.state,
            "frequency": row.frequency,
            "control_number": row.control_number,
            "built_at": row.built_at,
            "emitted_at": row.emitted_at,
            "content_hash": row.content_hash,
            "errors": [edit for edit in edits if edit["severity"] == EditSeverity.ERROR],
            "warnings": [edit for edit in edits if edit["severity"] == EditSeverity.WARNING],
            "payment": _payment(status_of(row)),
        }
    )


def _payment(status: ClaimStatus) -> Json | None:
    """Returns the payment of a claim version; amounts missing from an earlier release get defaults."""
    if status.paid is None or status.remitted_at is None:
        return None
    return {name: getattr(status, name) for name in Payment.model_fields}


def elsewhere(session: Session, keys: Keyring, encounter_id: str) -> list[ClaimElsewhere]:
    """Returns the claims of another system before the cutover; their numbers are read from the encrypted events."""
    if not has_event(session, encounter_id, EncounterImported.event_type):
        return []
    record = Record(load_own(session, keys, encounter_id).folded)
    return [ClaimElsewhere(ordinal=ordinal, **one.model_dump()) for ordinal, one in billed_elsewhere(record)]


def alert_answer(row: AlertRecord) -> AlertAnswer:
    return AlertAnswer.model_validate(row.model_dump(include=set(AlertAnswer.model_fields)))
