"""The answers of the HTTP interface. They carry opaque ids, keys of the rulebook, dates and codes; never a person."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.problems import FieldProblem
from domain.billing.model import (
    Attachment,
    CodedValue,
    Diagnosis,
    Edit,
    Form,
    FormField,
    Letter,
    Line,
    Procedure,
)
from intake.inbox.receive import Disposition


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Receipt(Answer):
    """What became of an event. A holder event stands in many encounters and names none."""

    event_id: str | None
    encounter_id: str | None
    disposition: Disposition
    reasons: list[str] = []
    problems: list[FieldProblem] = []
    quarantine_id: str | None = None


class Receipts(Answer):
    """One receipt per event of a batch, in its order."""

    receipts: list[Receipt]


class ReplyFileAnswer(Answer):
    """What became of a file of payers' answers: a receipt per answer of ours."""

    receipts: list[Receipt]
    passed_over: int = Field(description="answers to claims of other systems of the house")
    departures: list[str] = Field(
        default=[], description="where the file departs from its guide, though it could be read"
    )


class FhirAnswer(Answer):
    """What became of a FHIR request: a receipt per event made of it, and the event numbers that were skipped."""

    kind: str
    receipts: list[Receipt]
    missing: list[int]


class RequirementAnswer(Answer):
    """One thing a gate asks for, judged for the gate's day."""

    key: str
    kind: str
    met: bool
    enforcement: str
    owner: str
    title: str
    missing: str
    fix: str
    rule: str
    citation: str
    denial: int | None = None
    releases_on: list[str] = []
    overridable: bool = True
    layer: str | None = None
    evidence: list[str] = []
    alert: str | None = None


class GateAnswer(Answer):
    """A stage's entry, judged for the day of its service."""

    stage: str
    on: date
    open: bool
    requirements: list[RequirementAnswer] = []
    overridden: list[str] = []


class OverrideAnswer(Answer):
    role: str
    event: str
    expires: datetime


class HoldAnswer(Answer):
    """What must be cured before the encounter, or a claim of it, goes on. An overridden hold stays on record."""

    id: str
    kind: str
    gate: str
    scope: str
    owner: str
    title: str
    missing: str
    fix: str
    rule: str
    citation: str
    denial: int | None = None
    releases_on: list[str] = []
    overridable: bool = True
    override: OverrideAnswer | None = None
    layer: str | None = None
    events: list[str] = []


class Holds(Answer):
    encounter_id: str
    holds: list[HoldAnswer]


class MilestoneAnswer(Answer):
    name: str
    at: datetime
    planned: bool
    events: list[str] = []


class DeadlineAnswer(Answer):
    key: str
    kind: str
    due: datetime
    stage: str
    title: str
    events: list[str] = []


class WaitingClaim(Answer):
    """A claim that is not due yet, and what it waits for."""

    claim: str
    waiting_for: list[str]
    total: str | None = None


class EncounterSummary(Answer):
    """An encounter in a list. `up_to_date`: the workflow has decided on every event that is stored."""

    encounter_id: str
    status: str
    stage: str
    product: str
    payer: str
    payer_class: str
    holds_open: int
    hold_kinds: list[str]
    next_due: datetime | None
    created_at: datetime
    last_sequence: int
    decided_sequence: int
    up_to_date: bool


class EncounterAnswer(EncounterSummary):
    """An encounter as its last decision showed it."""

    decided_at: datetime | None
    edition: str | None
    rulebook_digest: str
    outcome: str | None
    cleared: list[str]
    gates: list[GateAnswer]
    holds: list[HoldAnswer]
    milestones: list[MilestoneAnswer]
    deadlines: list[DeadlineAnswer]
    advisories: list[str]
    vein_to_vein_days: int | None
    claims_waiting: list[WaitingClaim]
    custody_verified: bool


class EncounterPage(Answer):
    """A page of encounters, oldest first; `next` is the `after` of the following page."""

    encounters: list[EncounterSummary]
    next: str | None


class CustodyLink(BaseModel):
    """One link of the chain of identity, with its content. Staff stand under pseudonyms."""

    model_config = ConfigDict(extra="allow")

    position: int
    key: str
    kind: Literal["record", "correction", "retraction"]
    occurred: datetime
    recorded_at: datetime
    previous_hash: str
    hash: str


class Timeline(Answer):
    """The chain of identity: what stands, in clinical order, and every link, in the order it was appended."""

    encounter_id: str
    verified: bool
    first_broken: int | None
    milestones: list[MilestoneAnswer]
    records: list[CustodyLink]
    links: list[CustodyLink]


class Payment(Answer):
    """What the remittances of a claim's version come to, in United States dollars."""

    remitted_at: datetime
    paid: Decimal = Field(description="by the payer it was sent to, reversals subtracted")
    kept: Decimal = Field(description="`paid` less what was withheld from other transfers")
    refused: Decimal
    patient_responsibility: Decimal = Field(description="as that payer says")
    forwarded: bool = Field(description="that payer passed it on to further payers (CLP02 19 to 21)")
    crossover: list[str] = Field(description="the further payers it names")
    paid_by_further: Decimal | None = Field(description="by further payers; null while none answered")
    balance: Decimal = Field(description="what the last payer that answered leaves to the patient")
    shortfall: Decimal | None = Field(description="below what public amounts say")
    appeal_by: date | None


class ClaimAnswer(Answer):
    """A claim's document with its place in its history. `errors` are the edits that hold it."""

    letter: Letter
    ordinal: int
    version: int
    state: str
    frequency: str = Field(description="1 original, 7 replacement, 8 void")
    control_number: str | None
    built_at: datetime
    emitted_at: datetime | None
    form: Form
    type_of_bill: str | None
    place_of_service: str | None
    payer: str
    facility: str
    setting: str
    statement_from: date
    statement_through: date
    total: Decimal
    drg: str | None
    ready: bool
    waiting_for: list[str]
    admission_id_event: str | None
    fields: list[FormField]
    lines: list[Line]
    diagnoses: list[Diagnosis]
    procedures: list[Procedure]
    codes: list[CodedValue]
    attachments: list[Attachment]
    remarks: str
    advisories: list[str]
    folded: list[str]
    edits: list[Edit]
    errors: list[Edit]
    warnings: list[Edit]
    edition: str
    rulebook_digest: str
    content_hash: str = Field(description="SHA-256 over everything that is billed")
    payment: Payment | None = Field(default=None, description="null while no remittance came")


class ClaimElsewhere(Answer):
    """A claim that another system sent before the cutover: attested, never sent from here."""

    letter: Letter
    ordinal: int
    number: str = Field(description="that system's claim number")
    payer_number: str | None
    facility: str
    setting: str
    statement_from: date
    statement_through: date
    total: Decimal
    state: Literal["billed", "paid", "denied", "voided"]


class Claims(Answer):
    encounter_id: str
    claims: list[ClaimAnswer]
    elsewhere: list[ClaimElsewhere] = Field(description="claims billed by another system before the cutover")


class WorklistEntry(Answer):
    """A claim that somebody must work on. Amounts are United States dollars; of a denied claim, what was refused."""

    encounter_id: str
    claim: str = Field(description="letter and ordinal")
    version: int | None = Field(description="null while no version was built, for documents are missing")
    state: str
    payer: str
    total: Decimal
    since: date = Field(description="end of service, build, transmission or remittance, by the list")
    days: int
    owner: str
    waits_for: list[str]
    due: date | None = Field(description="last day of the appeal, or of timely filing")
    days_left: int | None
    reason: str | None = Field(default=None, description="what the payer or clearing house said, or what is overdue")
    fix: str | None = Field(default=None, description="the next step in words; of a denial, the guide's fix")
    denial: int | None = Field(
        default=None, description="number of the denial in the guide, where one fits the reasons"
    )
    citation: str | None = None
    paid: Decimal | None = Field(default=None, description="what the payer paid for this version so far")
    lines: list[str] = Field(
        default_factory=list, description="service lines that were refused, with amount and reasons"
    )
    packet: str | None = Field(default=None, description="where the evidence packet of the claim is")


class Worklist(Answer):
    name: Literal["unbilled", "held", "unacknowledged", "denied"]
    as_of: datetime
    claims: int
    total: Decimal
    entries: list[WorklistEntry]


class AlertAnswer(Answer):
    """A condition somebody must act on, from its opening to its end."""

    alert_id: str
    encounter_id: str | None
    key: str
    kind: str
    severity: str
    owner: str
    title: str
    action: str
    citation: str
    rule: str
    layer: str | None
    denial: int | None
    events: list[str]
    since: datetime
    opened_at: datetime
    acknowledge_by: datetime
    state: str
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    escalations: int


class Alerts(Answer):
    alerts: list[AlertAnswer]


class CauseAnswer(Answer):
    """Alerts of one cause that stand. Severity, title, action and citation are of the gravest of them."""

    cause: str
    severity: str
    title: str
    action: str
    citation: str
    owners: list[str]
    open: int = Field(description="how many nobody has taken")
    encounters: list[str]
    oldest: datetime
    acknowledge_by: datetime | None
    alerts: list[str] = Field(description="ids, the gravest first")


class Causes(Answer):
    causes: list[CauseAnswer]


class DeliveryAnswer(Answer):
    """A message about alerts to one destination."""

    delivery_id: str
    destination: str
    change: Literal["opened", "escalated", "worsened", "acknowledged", "resolved", "standing"]
    cause: str
    alert_ids: list[str]
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None
    last_error: str


class Deliveries(Answer):
    deliveries: list[DeliveryAnswer]


class Acknowledgement(Answer):
    """Who takes an alert: a role. The note is kept encrypted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(min_length=1, max_length=100)
    note: str | None = Field(default=None, max_length=2000)


class Explanation(Answer):
    """Why one line, hold or alert is there."""

    subject: str
    what: Literal["claim_line", "hold", "alert"]
    text: str
    rule: str
    edition: str | None
    effective_from: date | None
    effective_to: date | None
    status: str | None
    source: str
    events: list[str]


class Explanations(Answer):
    encounter_id: str
    explanations: list[Explanation]


class QuarantineEntry(Answer):
    """An event that waits, or was refused. Its content stays encrypted; `expires_at` is when one that is set aside goes."""

    quarantine_id: str
    event_id: str | None
    type: str
    feed: str
    state: str
    reasons: list[str]
    received_at: datetime
    resolved_at: datetime | None
    expires_at: datetime | None
    closed_by: str | None
    closed_because: str | None


class Closing(Answer):
    """Who closes an entry of the quarantine, a role, and why. The note is kept encrypted; `other` asks for one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(min_length=1, max_length=100)
    because: Literal["corrected", "duplicate", "not_ours", "other"]
    note: str | None = Field(default=None, max_length=2000)

    @model_validator(mode="after")
    def _other_is_explained(self) -> Closing:
        if self.because == "other" and not (self.note or "").strip():
            raise ValueError("note: say why, where it is none of the other reasons")
        return self


class QuarantinePage(Answer):
    entries: list[QuarantineEntry]


class AuditAnswer(Answer):
    """Somebody did something, or was denied it. `person` is who a pseudonym is; `target` an opaque id."""

    audit_id: str
    at: datetime
    actor: str
    person: str | None
    action: str
    target: str
    outcome: str


class AuditPage(Answer):
    """Entries of the audit, the newest first; `next` is the `after` of the following page."""

    entries: list[AuditAnswer]
    next: str | None


class Health(Answer):
    status: Literal["ok"]


class Readiness(Answer):
    """Whether the gateway's neighbours answer. Events are taken in while Temporal is away."""

    ready: bool
    database: bool
    temporal: bool


Json = dict[str, Any]
