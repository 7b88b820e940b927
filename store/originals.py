"""Originals kept in message quarantine: the sealed event or message, and what came with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from store import identifiers
from store.keys import Keyring
from store.tables import Quarantine, sealed_for


@dataclass(frozen=True, slots=True)
class Kept:
    """What quarantine keeps of an event: as it came, what its message said beside it, where its sender may write."""

    event: dict[str, Any]
    hint: identifiers.Hint | None
    allowed: frozenset[str] | None
    raw: str | None = None


def open_body(keys: Keyring, row: Quarantine) -> Kept:
    """The original with what belongs to it."""
    kept: dict[str, Any] = json.loads(keys.open(row.body, sealed_for("quarantine.body", row.quarantine_id)))
    hint, allowed = kept["hint"], kept["allowed"]
    return Kept(
        kept["event"],
        identifiers.Hint(**hint) if hint else None,
        None if allowed is None else frozenset(allowed),
        kept.get("raw"),
    )
