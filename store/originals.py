"""Originals kept in message quarantine: the sealed event or message, with its patient and its sender's facilities."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from store import identifiers
from store.keys import Keyring
from store.tables import Quarantine, sealed_for


@dataclass(frozen=True, slots=True)
class Kept:
    """A quarantine entry's original: event as received, patient its message names, facilities its sender may write for."""

    event: dict[str, Any]
    hint: identifiers.Hint | None
    allowed: frozenset[str] | None
    raw: str | None = None


def open_body(keys: Keyring, row: Quarantine) -> Kept:
    """The opened original of an entry."""
    kept: dict[str, Any] = json.loads(keys.open(row.body, sealed_for("quarantine.body", row.quarantine_id)))
    hint, allowed = kept["hint"], kept["allowed"]
    return Kept(
        kept["event"],
        identifiers.Hint(**hint) if hint else None,
        None if allowed is None else frozenset(allowed),
        kept.get("raw"),
    )
