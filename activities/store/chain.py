"""The chain of identity: append-only, each link hashed over the one before, so that any edit, loss or swap shows.

The hash proves order and wholeness, not truth: a correction is a new link that names the one it corrects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlmodel import Session, col, select

from activities.store.keys import Keyring
from activities.store.tables import CustodyRecord, Encounter
from activities.store.vault import pseudonym
from domain.decision import CustodyEntry

GENESIS = "0" * 64
RECORD = "record"
CORRECTION = "correction"
RETRACTION = "retraction"
STAFF_FIELDS = frozenset({"by", "second_verifier", "verified_by", "signer"})


class Linked(Protocol):
    """What a link is computed from and checked against."""

    position: int
    key: str
    content: str
    previous_hash: str
    hash: str


def link(previous_hash: str, position: int, key: str, content: str) -> str:
    """SHA-256 over the previous hash, the position, the key and the canonical content, separated unmistakably."""
    return hashlib.sha256(json.dumps([previous_hash, position, key, content]).encode()).hexdigest()


def verify(records: Iterable[Linked]) -> int | None:
    """The position of the first link that does not hold, in the order of positions; None when all of them hold."""
    previous, expected = GENESIS, 1
    for record in sorted(records, key=lambda one: one.position):
        whole = record.position == expected and record.previous_hash == previous
        if not whole or record.hash != link(previous, record.position, record.key, record.content):
            return expected
        previous, expected = record.hash, expected + 1
    return None


def canonical(content: Mapping[str, Any]) -> str:
    """One text for one content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


@dataclass(slots=True)
class _Standing:
    """What the chain says of one entry: its last content (None when retracted) and how many links speak of it."""

    content: dict[str, Any] | None
    links: int


def append_custody(
    session: Session, keys: Keyring, encounter_id: str, entries: Sequence[CustodyEntry], now: datetime
) -> int:
    """Bring the chain up to date with the entries that should be in it; returns how many links were appended.

    A new entry is appended as a record, a changed one as a correction, one that is gone as a retraction. Doing it again
    with the same entries appends nothing. Staff appear under their pseudonyms.
    """
    session.exec(select(Encounter).where(Encounter.encounter_id == encounter_id).with_for_update()).one()
    chain = _chain(session, encounter_id)
    standing, before = _standing(chain), len(chain)
    for entry in sorted(entries, key=lambda one: (one.occurred, one.key)):
        content = {**_without_names(session, keys, entry.content), "occurred": entry.occurred.isoformat()}
        known = standing.get(entry.key)
        if known is None:
            _append(session, chain, encounter_id, entry.key, RECORD, entry.occurred, content, now)
        elif known.content != content:
            key = f"{entry.key}#{known.links}"
            body = {**content, "corrects": entry.key}
            _append(session, chain, encounter_id, key, CORRECTION, entry.occurred, body, now)
    gone = set(standing) - {entry.key for entry in entries}
    for key in sorted(gone):
        if standing[key].content is not None:
            body = {"retracts": key}
            _append(session, chain, encounter_id, f"{key}#{standing[key].links}", RETRACTION, now, body, now)
    return len(chain) - before


def _chain(session: Session, encounter_id: str) -> list[CustodyRecord]:
    query = select(CustodyRecord).where(CustodyRecord.encounter_id == encounter_id)
    return list(session.exec(query.order_by(col(CustodyRecord.position))))


def _standing(chain: Iterable[CustodyRecord]) -> dict[str, _Standing]:
    found: dict[str, _Standing] = {}
    for record in chain:
        content: dict[str, Any] = json.loads(record.content)
        of = content.pop("corrects", None) or content.pop("retracts", None) or record.key
        links = found[of].links + 1 if of in found else 1
        found[of] = _Standing(None if record.kind == RETRACTION else content, links)
    return found


def standing_records(chain: Iterable[CustodyRecord]) -> list[CustodyRecord]:
    """The links whose content stands (neither corrected nor retracted since), in clinical order."""
    latest: dict[str, CustodyRecord] = {}
    for record in sorted(chain, key=lambda one: one.position):
        content = json.loads(record.content)
        latest[content.get("corrects") or content.get("retracts") or record.key] = record
    kept = [record for record in latest.values() if record.kind != RETRACTION]
    return sorted(kept, key=lambda one: (one.occurred, one.position))


def _append(
    session: Session,
    chain: list[CustodyRecord],
    encounter_id: str,
    key: str,
    kind: str,
    occurred: datetime,
    content: dict[str, Any],
    now: datetime,
) -> None:
    previous = chain[-1].hash if chain else GENESIS
    position, text = len(chain) + 1, canonical(content)
    record = CustodyRecord(
        encounter_id=encounter_id,
        position=position,
        key=key,
        kind=kind,
        occurred=occurred,
        content=text,
        previous_hash=previous,
        hash=link(previous, position, key, text),
        recorded_at=now,
    )
    session.add(record)
    session.flush()
    chain.append(record)


def _without_names(session: Session, keys: Keyring, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as JSON keeps it, with pseudonyms in place of staff."""
    plain: dict[str, Any] = json.loads(canonical(content))
    for field in STAFF_FIELDS & plain.keys():
        value = plain[field]
        if isinstance(value, str):
            plain[field] = pseudonym(session, keys, value)
        elif isinstance(value, list):
            plain[field] = [pseudonym(session, keys, str(one)) for one in value]
    return plain
