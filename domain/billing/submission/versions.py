"""One version of a claim as the store has it: its state, and what is to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum

ORIGINAL, REPLACEMENT, VOID = "1", "7", "8"
"""Claim frequency codes (CLM05-3)."""


class State(StrEnum):
    """Of one version of a claim. The last five are the payer's word."""

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
"""The payer has it: a change replaces it (frequency 7), its end voids it (8). A rejected claim never got that far."""
FILED = frozenset({State.ACKNOWLEDGED, State.PAID, State.PARTLY_PAID, State.DENIED})
"""The payer said that it has the claim: timely filing is kept."""
NOT_FILED = frozenset({State.HELD, State.EMITTED, State.TRANSMITTED, State.REJECTED})


@dataclass(frozen=True, slots=True)
class RebillAfterVoid:
    """A claim that waits until a void is out: its payer, and the last day of its statement."""

    payer: str
    through: date


@dataclass(frozen=True, slots=True)
class Refusal:
    """The rejection of a void: when, by which answer and codes, and the event that says so."""

    at: datetime
    by: str
    event: str


@dataclass(frozen=True, slots=True)
class Bill:
    """One version of a claim as it lies in the store.

    Attributes:
        built: held, emitted or withdrawn: what the edits said.
        frequency: 1 original, 7 replacement, 8 void.
        total: charges in United States dollars.
        through: last day of the statement; timely filing counts from it.
        zone: of the facility; days end there.
        expected: what the payer should come to, in United States dollars, where that is known.
        expected_lines: the part of each service line, by its code, where the amount is the sum of lines.
        drg: the group it was billed by.
        number_needed: it refers to an earlier claim whose number at the payer is not known yet.
        obstacle: why it could not be sent, in words without any value; None when nothing stands in the way.
        errors: what the edits say against it today, though the payer may have it.
        diagnoses: codes on the claim.
        filed_before: the payer took in an earlier version, so timely filing is kept.
        paid_before: what the payer paid for earlier versions and did not take back, in United States dollars.
        behind: of a void, the claim that cannot go out before it.
        void_refused: why an earlier version that was to be taken back still stands at its payer; None when none does.
        shadow: its files carry the test indicator: the hospital's present process bills, so nobody need answer them.
    """

    key: str
    built: State
    frequency: str
    payer: str
    total: Decimal
    through: date
    zone: tzinfo
    emitted_at: datetime | None = None
    sent_at: datetime | None = None
    expected: Decimal | None = None
    expected_lines: tuple[tuple[str, Decimal], ...] = ()
    drg: str | None = None
    number_needed: bool = False
    obstacle: str | None = None
    errors: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    filed_before: bool = False
    paid_before: Decimal = Decimal(0)
    behind: RebillAfterVoid | None = None
    void_refused: Refusal | None = None
    shadow: bool = False
