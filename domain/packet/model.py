"""The packet as a document. Every statement names its source events; only one field identifies the patient."""

from __future__ import annotations

import datetime as dt
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.billing.model import Attachment, CodedValue, Diagnosis, Edit, Line, Procedure

Identity = Literal["shown", "withheld", "unknown", "erased"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Part):
    """The identity of the patient, from the vault."""

    family: str
    given: str
    birth_date: date
    sex: str
    mrn: str
    member_id: str
    address: str


class PacketSubject(_Part):
    """The subject of the packet, with the names of the rulebook and the site file."""

    product: str
    generic: str | None
    indication: str
    diagnosis: str | None
    payer: str
    plan: str | None
    collection_facility: str | None
    infusion_facility: str | None
    prescriber_npi: str | None
    vein_to_vein_days: int | None
    outcome: str | None


class Sentence(_Part):
    """One documented fact in words. `imported`: it was attested at a cutover, not sent by its source system."""

    on: date
    text: str
    events: tuple[str, ...]
    imported: bool = False


class Therapy(_Part):
    """One line of the prior therapy log (G373). `lacks` names the fields that are missing."""

    line: int
    regimen: str
    therapy_class: str
    agent: str | None
    started: date | None
    stopped: date | None
    response: str | None
    stop_reason: str | None
    lacks: tuple[str, ...]
    event: str


class FiledDocument(_Part):
    """A document as filed: kind, date and values. `document`, its reference, is null where identity is withheld."""

    kind: str
    title: str
    dated: date
    values: dict[str, str]
    document: str | None
    event: str


class JudgedRequirement(_Part):
    """One requirement of a gate, as it was judged for the day of the service.

    A requirement whose `rule` is an alert is met when the alert did not open.
    """

    key: str
    rule: str
    title: str
    met: bool
    enforcement: str
    overridden: bool
    missing: str
    citation: str
    events: tuple[str, ...]


class JudgedStage(_Part):
    """A stage's gate for the day of its service."""

    stage: str
    on: date
    open: bool
    asked: tuple[JudgedRequirement, ...]


class Certificate(_Part):
    """A certificate that counted on the day of a service. `event` is null where the site file holds it."""

    stage: str
    on: date
    title: str
    layer: str
    holder: str
    standing: bool
    product: str | None
    valid_from: date | None
    valid_to: date | None
    document: str | None
    event: str | None
    citation: str


class Approval(_Part):
    """A prior authorization with the last decision of the payer. `number` is null where identity is withheld."""

    number: str | None
    decision: str | None
    valid_from: date | None
    valid_to: date | None
    submitted_at: datetime | None
    decided_at: datetime | None
    follows_another: bool
    events: tuple[str, ...]


class Link(_Part):
    """One current link of the chain of identity. Staff are shown by pseudonym."""

    position: int
    kind: str
    step: str
    title: str
    at: datetime
    where: str | None
    by: tuple[str, ...]
    identifiers: dict[str, str]
    condition: tuple[str, ...]
    reason: str | None
    attested_by: str | None = Field(description="who attested it at a cutover; null where this system recorded it")
    event: str | None
    previous_hash: str
    hash: str


class Chain(_Part):
    """The chain of identity with the result of checking every hash. `head` is the hash of the last link."""

    verified: bool
    first_broken: int | None
    links: int
    head: str | None
    standing: tuple[Link, ...]


class Adjusted(_Part):
    group: str
    carc: str
    amount: Decimal


class ClaimResponse(_Part):
    """One payer response to a version of a claim."""

    kind: str
    at: datetime
    accepted: bool
    status: str
    codes: tuple[str, ...]
    paid: Decimal
    patient: Decimal
    adjustments: tuple[Adjusted, ...]
    remarks: tuple[str, ...]
    payer_number: str | None
    event: str


class BilledClaim(_Part):
    """One claim in its current version, every line with its rule and events, and the payer responses.

    `elsewhere`: another system billed it before the cutover; only the attested values are known.
    """

    key: str
    version: int
    state: str
    frequency: str
    control_number: str | None
    form: str
    type_of_bill: str | None
    facility: str
    statement_from: date
    statement_through: date
    total: Decimal
    drg: str | None
    lines: tuple[Line, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    codes: tuple[CodedValue, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    folded: tuple[str, ...] = ()
    advisories: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    answers: tuple[ClaimResponse, ...] = ()
    elsewhere: bool = False


class Named(_Part):
    """A denial of the guide that fits the payer's reasons, with its cause and fix (G429-443)."""

    number: int
    title: str
    cause: str
    fix: str
    rule: str
    citation: str
    doubt: str


class Submission(_Part):
    """One thing that the fix requires to submit: its place in this packet, or that it is missing."""

    denial: int
    title: str
    held: bool
    where: str
    missing: str
    events: tuple[str, ...]
    rule: str
    citation: str


class Denied(_Part):
    """The denial that a packet is for. Amounts are United States dollars."""

    claim: str
    version: int
    control_number: str | None
    payer_number: str | None
    on: date
    state: str
    total: Decimal
    paid: Decimal
    refused: Decimal
    carc: tuple[str, ...]
    rarc: tuple[str, ...]
    appeal_by: date | None
    denials: tuple[Named, ...]
    submissions: tuple[Submission, ...]
    missing: tuple[str, ...] = Field(description="what the fix requires to submit and no record shows")


class Packet(_Part):
    """An evidence packet. The same records give the same packet; it does not contain when or for whom it was made."""

    kind: Literal["encounter", "denial"]
    encounter_id: str
    records_through: int = Field(description="sequence of the last event the packet was made from")
    as_of: dt.datetime = Field(description="the moment of the encounter's last decision")
    edition: str
    rulebook_digest: str
    identity: Identity
    patient: Person | None
    case: PacketSubject
    denied: Denied | None
    narrative: tuple[Sentence, ...]
    therapies: tuple[Therapy, ...]
    papers: tuple[FiledDocument, ...]
    eligibility: tuple[JudgedStage, ...]
    certificates: tuple[Certificate, ...]
    authorizations: tuple[Approval, ...]
    custody: Chain
    claims: tuple[BilledClaim, ...]
