"""The terms of claim submission: frequency codes, states, what is wanted, and what one step is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from domain.billing.model import Claim

ORIGINAL, REPLACEMENT, VOID = "1", "7", "8"
"""Claim frequency codes (CLM05-3)."""


class State(StrEnum):
    """The state of one version of a claim. The last five come from payer responses."""

    HELD = "held"
    EMITTED = "emitted"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    TRANSMITTED = "transmitted"
    VOIDED = "voided"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    PAID = "paid"
    PARTLY_PAID = "partly_paid"
    DENIED = "denied"


AT_PAYER = frozenset({State.TRANSMITTED, State.ACKNOWLEDGED, State.PAID, State.PARTLY_PAID, State.DENIED})
"""The payer has the claim: a change replaces it (frequency 7), its end voids it (8). A rejected claim never got that far."""
FILED = frozenset({State.ACKNOWLEDGED, State.PAID, State.PARTLY_PAID, State.DENIED})
"""The payer confirmed that it has the claim: timely filing is kept."""
NOT_FILED = frozenset({State.HELD, State.EMITTED, State.TRANSMITTED, State.REJECTED})
OUT_OF_USE = frozenset({State.WITHDRAWN, State.VOIDED})
"""The version bills nothing; it stays as it is when another version follows."""


@dataclass(frozen=True, slots=True)
class Due:
    """A decision on the facts up to a sequence makes this claim due; the claim is ready."""

    claim: Claim
    sequence: int
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class NotDue:
    """A decision on the facts up to a sequence makes no such claim due."""

    sequence: int
    decided_at: datetime | None


class Unchanged(Enum):
    """Nothing new was decided; time passed, a response came, or the site file changed."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Wanted = Due | NotDue | Unchanged
