"""Sealed ledgers: rows that must not change are hashed in batches, each batch hashed with the one before it and signed.

A batch names every row by its key with the hash of its content, so that the row that was changed, removed or inserted is
named, not only its batch. Hashes and signatures prove that rows are what the installation wrote, not that they are true.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

GENESIS = "0" * 64
Entries = tuple[tuple[str, str], ...]
"""Key and hash of each row of a batch, in its order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One sealed batch as it is stored; `entries` is canonical text, byte for byte."""

    ledger: str
    position: int
    sealed_at: datetime
    entries: str
    previous_hash: str
    hash: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a ledger: the batch, the key of the row where it is one, and what happened to it."""

    ledger: str
    position: int
    key: str | None
    what: str

    def __str__(self) -> str:
        row = f", row {self.key}" if self.key else ""
        return f"batch {self.position}{row}: {self.what}"


def row_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 over the values of a row under their names; moments in UTC, amounts as text."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=_text).encode()).hexdigest()


def entries_text(entries: Iterable[tuple[str, str]]) -> str:
    """One text for the entries of a batch."""
    return json.dumps([list(entry) for entry in entries], separators=(",", ":"))


def entries_of(text: str) -> Entries | None:
    """The entries of a batch; None if the text is not what `entries_text` writes."""
    try:
        found = tuple((str(key), str(digest)) for key, digest in json.loads(text))
    except (ValueError, TypeError):
        return None
    return found if entries_text(found) == text else None


def batch_hash(ledger: str, position: int, sealed_at: datetime, entries: str, previous_hash: str) -> str:
    """SHA-256 over every field of a batch but hash and signature."""
    body = [ledger, position, sealed_at.astimezone(UTC).isoformat(timespec="microseconds"), entries, previous_hash]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def check_batch(batch: Batch, position: int, previous_hash: str) -> Fault | None:
    """The fault of a batch by itself and against the one before it; the signature is checked by who has the key."""
    if batch.position != position or batch.previous_hash != previous_hash:
        return Fault(batch.ledger, position, None, "a batch is missing, was inserted, or is out of place")
    known = batch_hash(batch.ledger, batch.position, batch.sealed_at, batch.entries, batch.previous_hash)
    if batch.hash != known or entries_of(batch.entries) is None:
        return Fault(batch.ledger, position, None, "the batch is not what was sealed")
    return None


def place_of(position: int, key: str) -> str:
    """The name of a row in one batch. A row that is sealed again elsewhere is excused in this batch alone."""
    return f"{position}:{key}"


def check_rows(batch: Batch, found: Mapping[str, str], removed: Mapping[str, str]) -> Iterator[Fault]:
    """The rows that differ from a batch.

    Args:
        found: hash of each row that belongs to the batch now, by its key.
        removed: keys of rows that the installation itself removed, with the reason; for a row that got other content on
            purpose its `place_of` that batch.
    """
    entries = dict(entries_of(batch.entries) or ())
    for key, digest in entries.items():
        if key not in found and key not in removed and place_of(batch.position, key) not in removed:
            yield Fault(batch.ledger, batch.position, key, "the row is missing")
        elif key in found and found[key] != digest:
            yield Fault(batch.ledger, batch.position, key, "the row is not what was sealed")
    for key in sorted(found.keys() - entries.keys()):
        yield Fault(batch.ledger, batch.position, key, "the row was inserted after the batch was sealed")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    raise TypeError(type(value).__name__)
