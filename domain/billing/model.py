"""A claim as a structured document: form, fields, lines, diagnoses, edits. No identity of a person is in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Letter = Literal["A", "B", "C", "D"]


class Form(StrEnum):
    """The form whose fields the values name: UB-04 is sent as 837I, CMS-1500 as 837P (G283-290)."""

    UB04 = "UB-04"
    CMS1500 = "CMS-1500"


MOST_DIAGNOSES = {Form.UB04: 25, Form.CMS1500: 12}
"""The most diagnoses that a form holds, including the principal one (837I and 837P guides, HI)."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Document):
    """Why a value is on the claim: the rulebook row, its source, and the events it was read from."""

    rule: str
    citation: str
    events: tuple[str, ...] = ()
    text: str = ""


class FormField(_Document):
    """One value of the form. `vault` names what only the vault holds (name, address, member number) instead of a value."""

    field: str
    name: str
    value: str | None = None
    vault: str | None = None
    reason: Reason


class Line(_Document):
    """One service line. `units` are billing units; `charge` is United States dollars for the whole line."""

    number: int
    service: str
    revenue_code: str | None
    hcpcs: str | None
    modifiers: tuple[str, ...] = ()
    units: int
    unit_of_measure: Literal["UN", "DA", "MJ"] = "UN"
    charge: Decimal
    date_of_service: date
    ndc: str | None = None
    ndc_quantity: Decimal | None = None
    ndc_unit: str | None = None
    description: str
    fields: dict[str, str] = Field(description="form field of each value, e.g. {'hcpcs': 'FL 44'}")
    diagnosis_pointers: tuple[int, ...] = ()
    documented_mg: Decimal | None = None
    wasted_mg: Decimal | None = None
    reason: Reason


class Diagnosis(_Document):
    """`role` is principal, admitting, or other; `poa` the present-on-admission indicator of inpatient claims."""

    role: Literal["principal", "admitting", "other"]
    code: str
    poa: str | None = None
    field: str
    reason: Reason


class Procedure(_Document):
    """An ICD-10-PCS procedure of an inpatient claim."""

    role: Literal["principal", "other"]
    code: str
    date: date
    field: str
    reason: Reason


class CodedValue(_Document):
    """A value, condition or occurrence code with its amount or date."""

    kind: Literal["value", "condition", "occurrence", "occurrence_span"]
    code: str
    amount: Decimal | None = None
    date: dt.date | None = None
    through: dt.date | None = None
    field: str
    reason: Reason


class Attachment(_Document):
    """A document that goes with the claim or supports it; `event` is None while it is missing."""

    kind: str
    title: str
    event: str | None
    reason: Reason


class EditSeverity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Edit(_Document):
    """A finding of the claim edits. An error holds the claim; a warning shows."""

    id: str
    severity: EditSeverity
    field: str
    message: str
    fix: str
    citation: str
    denial: int | None = None
    owner: str
    releases_on: tuple[str, ...] = ()


class Claim(_Document):
    """One claim of the encounter. `key` is letter and ordinal; the same key with different content is a new version.

    Attributes:
        ready: all documentation it waits for is on record; `waiting_for` names what is missing.
        folded: services billed on another claim, or included here from another day or place, in words for the biller.
    """

    letter: Letter
    ordinal: int
    form: Form
    type_of_bill: str | None
    place_of_service: str | None
    payer: str
    facility: str
    setting: str
    statement_from: date
    statement_through: date
    ready: bool
    waiting_for: tuple[str, ...] = ()
    admission_id_event: str | None = None
    fields: tuple[FormField, ...] = ()
    lines: tuple[Line, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    codes: tuple[CodedValue, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    drg: str | None = None
    total: Decimal
    remarks: str = ""
    advisories: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    edition: str
    rulebook_digest: str

    @property
    def key(self) -> str:
        return f"{self.letter}/{self.ordinal}"

    def can_replace(self, other: Claim) -> bool:
        """Whether this claim may go out as the replacement (frequency 7) of another that a payer has.

        A payer looks up its claim number among bills of one form, facility code (CLM05-1) and provider. So an inpatient bill
        cannot adjust an outpatient one, and another payer has nothing to adjust. Where this is False, the other is voided
        and this one is a new claim (NUBC type of bill, fourth digit; 837 TR3, CLM05 and REF*F8).
        """
        return (self.payer, self.form, self._kind_of_bill, self.facility) == (
            other.payer,
            other.form,
            other._kind_of_bill,
            other.facility,
        )

    @property
    def _kind_of_bill(self) -> str | None:
        return self.type_of_bill[:2] if self.type_of_bill else None

    @property
    def errors(self) -> tuple[Edit, ...]:
        return tuple(edit for edit in self.edits if edit.severity is EditSeverity.ERROR)

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything that is billed. The digest of the rulebook is not part of the content."""
        body = self.model_dump(mode="json", exclude={"rulebook_digest", "advisories"})
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
