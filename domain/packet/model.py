"""The packet as a document. Every statement names the events it was read from; who the patient is stands in one member."""

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
    """Who the patient is, from the vault."""

    family: str
    given: str
    birth_date: date
    sex: str
    mrn: str
    member_id: str
    address: str


class PacketSubject(_Part):
    """What the packet is about, in the words of the rulebook and the site file."""

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
    """One documented fact in words. `imported`: it was attested at a cutover, not sent by the system that documented it."""

    on: date
    text: str
    events: tuple[str, ...]
    imported: bool = False


class Therapy(_Part):
    """One line of the prior therapy log (G373). `lacks` names what the log does not say."""

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


class Paper(_Part):
    """A paper as filed: its kind, its date, the values read from it. `document` is null where identity is withheld."""

    kind: str
    title: str
    dated: date
    values: dict[str, str]
    document: str | None
    event: str


class Asked(_Part):
    """One requirement of a gate, as it was judged for the day of the service.

    A requirement whose `rule` is an alert is titled by its failure: met, nothing was found.
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


class Judgement(_Part):
    """A stage's gate for the day of its service."""

    stage: str
    on: date
    open: bool
    asked: tuple[Asked, ...]


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
    """A prior authorization with the payer's last word. `number` is null where identity is withheld."""

    number: str | None
    decision: str | None
    valid_from: date | None
    valid_to: date | None
    submitted_at: datetime | None
    decided_at: datetime | None
    follows_another: bool
    events: tuple[str, ...]


class Link(_Part):
    """One link of the chain of identity that stands. Staff stand under pseudonyms."""

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
    attested_by: str | None = Field(description="who attested it at a cutover; null where this system saw it happen")
    event: str | None
    previous_hash: str
    hash: str


class Chain(_Part):
    """The chain of identity with the result of computing every hash anew. `head` is the hash of the last link."""

    verified: bool
    first_broken: int | None
    links: int
    head: str | None
    standing: tuple[Link, ...]


class Adjusted(_Part):
    group: str
    carc: str
    amount: Decimal


class Answered(_Part):
    """One answer of the payer to a version of a claim."""

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
    """One claim as it counts now, every line with its rule and events, and what the payer answered to it.

    `elsewhere`: it was billed by another system before the cutover; only what was attested of it is known here.
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
    answers: tuple[Answered, ...] = ()
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
    """One thing that the fix says to submit: where it stands in this packet, or that it is missing."""

    denial: int
    title: str
    held: bool
    where: str
    missing: str
    events: tuple[str, ...]
    rule: str
    citation: str


class Denied(_Part):
    """What a denial packet answers. Amounts are United States dollars."""

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
    missing: tuple[str, ...] = Field(description="what the fix says to submit and no record shows")


class Packet(_Part):
    """An evidence packet. The same records give the same packet; nothing in it says when or for whom it was made."""

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
    papers: tuple[Paper, ...]
    eligibility: tuple[Judgement, ...]
    certificates: tuple[Certificate, ...]
    authorizations: tuple[Approval, ...]
    custody: Chain
    claims: tuple[BilledClaim, ...]
