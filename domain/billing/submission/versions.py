"""The versions of one claim: what each bills, what was sent of it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from domain.billing.model import Claim
from domain.billing.submission.model import State


@dataclass(frozen=True, slots=True)
class RebillAfterVoid:
    """A claim that goes out after a void: its payer, the last day of its statement, its charges in United States dollars."""

    payer: str
    through: date
    total: Decimal


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What the file and the payer's responses came to for a version, current or not; amounts are United States dollars.

    Attributes:
        state: the state it would have if no other version had taken its place; None while it was never followed.
        response_kinds: the kinds of responses received.
        unanswered_in_shadow: a test file without a response, which needs none.
        next_title, next_due: the next step that people wait for.
        followed_at, run: when, and by which workflow run, the version was last followed.
        rebill: of a void, the claim that goes out after it.
    """

    state: State | None = None
    remitted_at: datetime | None = None
    paid: Decimal | None = None
    kept: Decimal | None = None
    paid_by_further: Decimal | None = None
    forwarded: bool = False
    crossover: tuple[str, ...] = ()
    balance: Decimal | None = None
    patient_responsibility: Decimal | None = None
    refused: Decimal | None = None
    shortfall: Decimal | None = None
    appeal_by: date | None = None
    file_by: date | None = None
    refused_lines: tuple[str, ...] = ()
    response_kinds: tuple[str, ...] = ()
    unanswered_in_shadow: bool = False
    next_title: str | None = None
    next_due: datetime | None = None
    followed_at: datetime | None = None
    run: str = ""
    rebill: RebillAfterVoid | None = None


@dataclass(frozen=True, slots=True)
class Parties:
    """Keyed hashes of who a file names; None where that is not known.

    Attributes:
        insured: the patient as the payer knows them.
        others: address, record number, provider, payer and submitter.
    """

    insured: str | None = None
    others: str | None = None


@dataclass(frozen=True, slots=True)
class SentFile:
    """The one file of a version.

    Attributes:
        at: when it took its interchange number.
        written: it is in the outbox; False while its batch is open or its file could not be written yet.
        number_from: event of the response that gave the payer claim control number which a replacement or void names.
        other_content: the payer has another bill under this number than the version's: sent before a restore.
    """

    at: datetime
    written: bool = False
    shadow: bool = False
    parties: Parties = field(default_factory=Parties)
    number_from: str | None = None
    other_content: bool = False


@dataclass(frozen=True, slots=True)
class ClaimVersion:
    """One content of a claim under one frequency and control number.

    Attributes:
        number: counts from 1.
        state: that of the store; SUPERSEDED when another version took its place.
        sequence, decided_at: of the newest decision that confirms it.
        built_at, emitted_at: when the version was made; when it became final, None for one that is held.
        control_number: CLM01; None for one that is held, and for one that is not saved yet.
    """

    number: int
    claim: Claim
    frequency: str
    state: State
    sequence: int
    built_at: datetime
    decided_at: datetime | None = None
    emitted_at: datetime | None = None
    control_number: str | None = None
    sent: SentFile | None = None
    status: ClaimStatus = field(default_factory=ClaimStatus)


def current(versions: Sequence[ClaimVersion]) -> ClaimVersion | None:
    """The version that counts: the newest that no other took the place of."""
    return next((one for one in reversed(versions) if one.state is not State.SUPERSEDED), None)
