"""The chains of identity in the database: new links are appended, and each growth is recorded in the index over all chains.

Hashing and the detection of breaks are in `domain.custody.ledger`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from domain.custody.entries import CustodyEntry
from domain.custody.ledger import GENESIS, Break, check_against_index, check_chain, entry_hash, link_hash
from store.engine import take_turn
from store.keys import Keyring
from store.queries.custody import chain_links, index_entries
from store.tables import CustodyIndex, CustodyRecord, Encounter
from store.vault import pseudonym

RECORD = "record"
CORRECTION = "correction"
RETRACTION = "retraction"
VISIT_FIELDS = frozenset({"admission_id"})
"""Numbers of a patient's stays, which lead to a person as an order number does. The event keeps them."""

STAFF_FIELDS = frozenset({"by", "second_verifier", "verified_by", "signer", "attested_by"})
INDEX_LOCK = 0x43415232


def first_break(session: Session, encounter_id: str, links: Sequence[CustodyRecord]) -> Break | None:
    """The first link of an encounter that contradicts its hash or the index; None when the chain is whole."""
    broken = check_chain(links)
    if broken is not None:
        return broken
    entries = index_entries(session, encounter_id)
    chains = {encounter_id: links} if links else {}
    return next(check_against_index(chains, entries), None)


def canonical(content: Mapping[str, Any]) -> str:
    """One text for one content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


@dataclass(slots=True)
class _Entry:
    """The state of one entry in the chain: its last content (None when retracted) and its number of links."""

    content: dict[str, Any] | None
    links: int


def append_custody(
    session: Session, keys: Keyring, encounter_id: str, entries: Sequence[CustodyEntry], now: datetime
) -> int:
    """Append what changed since the chain was last written; returns how many links were appended.

    A new entry is appended as a record, a changed one as a correction, one that is gone as a retraction. Repeating it
    with the same entries appends nothing. Staff and stays appear under pseudonyms.
    """
    session.exec(select(Encounter).where(Encounter.encounter_id == encounter_id).with_for_update()).one()
    chain = chain_links(session, encounter_id)
    so_far, before = _entries_so_far(chain), len(chain)
    for entry in sorted(entries, key=lambda one: (one.occurred, one.key)):
        content = {**_without_names(session, keys, entry.content), "occurred": entry.occurred.isoformat()}
        known = so_far.get(entry.key)
        if known is None:
            _append(session, chain, encounter_id, entry.key, RECORD, entry.occurred, content, now)
        elif known.content != content:
            key = f"{entry.key}#{known.links}"
            body = {**content, "corrects": entry.key}
            _append(session, chain, encounter_id, key, CORRECTION, entry.occurred, body, now)
    gone = set(so_far) - {entry.key for entry in entries}
    for key in sorted(gone):
        if so_far[key].content is not None:
            body = {"retracts": key}
            _append(session, chain, encounter_id, f"{key}#{so_far[key].links}", RETRACTION, now, body, now)
    if len(chain) > before:
        _index(session, chain[-1], now)
    return len(chain) - before


def _index(session: Session, last: CustodyRecord, now: datetime) -> None:
    """Record a chain's new length and head; one at a time over all encounters, by SQLite's write lock or an advisory lock."""
    take_turn(session, INDEX_LOCK)
    before = session.exec(select(CustodyIndex).order_by(col(CustodyIndex.position).desc()).limit(1)).first()
    entry = CustodyIndex(
        position=before.position + 1 if before else 1,
        encounter_id=last.encounter_id,
        length=last.position,
        head=last.hash,
        recorded_at=now,
        previous_hash=before.hash if before else GENESIS,
        hash="",
    )
    entry.hash = entry_hash(entry)
    session.add(entry)
    session.flush()


def _entries_so_far(chain: Iterable[CustodyRecord]) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    for record in chain:
        content: dict[str, Any] = json.loads(record.content)
        of = content.pop("corrects", None) or content.pop("retracts", None) or record.key
        links = found[of].links + 1 if of in found else 1
        found[of] = _Entry(None if record.kind == RETRACTION else content, links)
    return found


def records_in_effect(chain: Iterable[CustodyRecord]) -> list[CustodyRecord]:
    """The links in effect (neither corrected nor retracted since), in clinical order."""
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
    record = CustodyRecord(
        encounter_id=encounter_id,
        position=len(chain) + 1,
        key=key,
        kind=kind,
        occurred=occurred,
        content=canonical(content),
        previous_hash=chain[-1].hash if chain else GENESIS,
        hash="",
        recorded_at=now,
    )
    record.hash = link_hash(record)
    session.add(record)
    session.flush()
    chain.append(record)


def _without_names(session: Session, keys: Keyring, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as JSON, with pseudonyms in place of staff and of stays."""
    plain: dict[str, Any] = json.loads(canonical(content))
    for field in VISIT_FIELDS & plain.keys():
        if isinstance(plain[field], str):
            plain[field] = "visit_" + keys.digest("visit", plain[field])[:12]
    for field in STAFF_FIELDS & plain.keys():
        value = plain[field]
        if isinstance(value, str):
            plain[field] = pseudonym(session, keys, value)
        elif isinstance(value, list):
            plain[field] = [pseudonym(session, keys, str(one)) for one in value]
    return plain
