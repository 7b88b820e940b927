"""Identifiers: the keyed hashes under which orders, visits, bags, claims and events are found."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from store.keys import Keyring
from store.tables import Alias, Encounter

ORDER = "order"


CELL_KINDS = frozenset({"coi", "din", "bag", "lot", "isbt_128"})
"""Kinds of identifiers of one patient's cells: two patients with the same one are both held."""


SHARED = "shared_"
"""Prefix of the kind of an identifier that an earlier encounter has already."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The patient a message names, where its format states that beside the event (HL7 PID, FHIR subject)."""

    mrn: str
    facility: str


def alias_key(keys: Keyring, value: str) -> str:
    """The keyed hash of an identifier."""
    return keys.digest("alias", value.strip())


def claim_key(keys: Keyring, control_number: str) -> str:
    """The key under which an acknowledgement waits for its claim."""
    return keys.digest("claim", control_number.strip())


def event_key(keys: Keyring, source: str, event_id: str) -> str:
    """HMAC of source and id: the dedupe key of the inbox and the update id in Temporal."""
    return keys.digest("event", source, event_id)


def look_up(session: Session, keys: Keyring, reference: str) -> list[str]:
    """The encounters an id or an identifier names; an order number before anything else."""
    if session.get(Encounter, reference) is not None:
        return [reference]
    key = alias_key(keys, reference)
    return sorted(named(session, key, ORDER) or named(session, key, None))


MRN = "mrn"


def named(session: Session, key: str, kind: str | None) -> set[str]:
    query = select(Alias.encounter_id).where(Alias.alias_key == key, Alias.kind != MRN)
    first = query.where(col(Alias.kind).not_like(f"{SHARED}%"))
    return set(session.exec(first if kind is None else query.where(Alias.kind == kind)))
