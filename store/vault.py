"""The patient vault: identity is withheld from a received event and restored only for readers that require it.

Each event keeps its own version of the identity, so that a later correction does not change an earlier fact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from domain.events.access import ReferralReceived
from domain.events.governance import CorrectionMade
from store.engine import insert_once
from store.keys import Keyring
from store.opaque import new_id
from store.tables import AuditEntry, Patient, Staff, sealed_for

MARK = "$vault"
PSEUDONYM_PREFIX = "staff_"
PSEUDONYM_LENGTH = 12
ERASED = "erased"
COMMAND_LINE = "(command line)"
"""The actor of commands run on the machine itself."""

Json = dict[str, Any]


def withhold(event_type: str, data: Mapping[str, Any]) -> tuple[Json, Json | None]:
    """The data with references in place of identity, and the identity (None where the event carries none)."""
    if event_type == ReferralReceived.event_type:
        return _withheld(data)
    replacement = data.get("replacement")
    if event_type == CorrectionMade.event_type and isinstance(replacement, dict):
        safe, identity = _withheld(replacement)
        return {**data, "replacement": safe}, identity
    return dict(data), None


def restore(event_type: str, data: Mapping[str, Any], identity: Mapping[str, Any] | None) -> Json:
    """The inverse of `withhold`."""
    if identity is None:
        return dict(data)
    if event_type == CorrectionMade.event_type:
        return {**data, "replacement": _restored(data["replacement"], identity)}
    return _restored(data, identity)


def _withheld(data: Mapping[str, Any]) -> tuple[Json, Json | None]:
    safe, identity = dict(data), {}
    if "patient" in safe:
        identity["patient"] = safe["patient"]
        safe["patient"] = {MARK: "patient"}
    coverage = safe.get("coverage")
    if isinstance(coverage, dict) and "member_id" in coverage:
        identity["member_id"] = coverage["member_id"]
        safe["coverage"] = {**coverage, "member_id": {MARK: "member_id"}}
    return safe, identity or None


def _restored(data: Mapping[str, Any], identity: Mapping[str, Any]) -> Json:
    whole = dict(data)
    if "patient" in identity and "patient" in whole:
        whole["patient"] = identity["patient"]
    if "member_id" in identity and isinstance(whole.get("coverage"), dict):
        whole["coverage"] = {**whole["coverage"], "member_id": identity["member_id"]}
    return whole


def mrn_key(keys: Keyring, mrn: str, facility: str) -> str:
    """The keyed hash of a record number at its facility, by which a patient is found again."""
    return keys.digest("mrn", mrn.strip(), facility)


def remember(session: Session, keys: Keyring, event_id: str, identity: Json, patient_key: str, now: datetime) -> str:
    """Keep the identity of an event; returns the patient's reference, the existing one where the patient is known."""
    patient = session.exec(select(Patient).where(Patient.mrn_key == patient_key)).first()
    if patient is None:
        patient = Patient(patient_ref=new_id("pat"), mrn_key=patient_key, identity=b"", created_at=now)
        versions: Json = {}
    else:
        versions = identities(keys, patient)
    patient.identity = _sealed(keys, patient.patient_ref, {**versions, event_id: identity})
    session.add(patient)
    session.flush()
    return patient.patient_ref


def identities(keys: Keyring, patient: Patient) -> dict[str, Json]:
    """Every version of a patient's identity, by its event."""
    plain = keys.open(patient.identity, sealed_for("patients.identity", patient.patient_ref))
    versions: dict[str, Json] = json.loads(plain)
    return versions


def _sealed(keys: Keyring, patient_ref: str, versions: Json) -> bytes:
    return keys.seal(json.dumps(versions, sort_keys=True).encode(), sealed_for("patients.identity", patient_ref))


def pseudonym(session: Session, keys: Keyring, value: str) -> str:
    """The pseudonym of a member of staff; the name stays in the vault. A pseudonym is returned as it is."""
    if value.startswith(PSEUDONYM_PREFIX):
        return value
    name = PSEUDONYM_PREFIX + keys.digest("staff", value.strip())[:PSEUDONYM_LENGTH]
    if session.get(Staff, name) is None:
        sealed = keys.seal(value.encode(), sealed_for("staff.value", name))
        insert_once(session, Staff, pseudonym=name, value=sealed)
    return name


def introduce(session: Session, keys: Keyring, name: str, person: str) -> None:
    """Keep the name of a pseudonym; the newest one counts, because names change."""
    sealed = keys.seal(person.encode(), sealed_for("staff.value", name))
    known = session.get(Staff, name)
    if known is None:
        session.add(Staff(pseudonym=name, value=sealed))
    elif keys.open(known.value, sealed_for("staff.value", name)) != person.encode():
        known.value = sealed


def person_of(session: Session, keys: Keyring, name: str) -> str | None:
    """The name of a pseudonym; None where it is unknown."""
    known = session.get(Staff, name)
    return keys.open(known.value, sealed_for("staff.value", name)).decode() if known else None


def audit(session: Session, actor: str, action: str, target: str, outcome: str, at: datetime) -> None:
    """Record who read or changed what. `target` is an opaque id or a path without one."""
    session.add(AuditEntry(audit_id=new_id("aud"), at=at, actor=actor, action=action, target=target, outcome=outcome))
