"""Who a file is about and how it is numbered: what the claim itself does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Address:
    line: str
    city: str
    state: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The patient as the vault knows them; the patient is the insured. Exists only while a file is written."""

    family: str
    given: str
    birth_date: date
    sex: str
    address: Address
    member_id: str
    mrn: str


@dataclass(frozen=True, slots=True)
class Control:
    """Numbers and marks of one file.

    Attributes:
        interchange: ISA13, one to nine digits; also the group number.
        claim: patient control number (CLM01), at most twenty characters, never a person's number.
        created: when the file was made, on the submitter's clock.
        filing: claim filing indicator of the payer's row (`Payer.claim_filing`, or `claim_filing_professional`).
        test: shadow mode; the file has the test indicator (ISA15 T).
        frequency: 1 original, 7 replacement, 8 void.
        replaces: the payer's claim number that a replacement or void refers to.
        place: ST02, the place of the claim in its interchange, from one.
    """

    interchange: int
    claim: str
    created: datetime
    filing: str
    test: bool = True
    frequency: str = "1"
    replaces: str | None = None
    place: int = 1
