"""Responses of the HTTP interface: opaque IDs, rulebook keys, dates and codes, never a patient's identity."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    """Result for an event. An event about a holder concerns many encounters and has no encounter ID."""

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
    """Result for a payer response file: a receipt per response to our claims."""

    receipts: list[Receipt]
    passed_over: int = Field(description="Responses to claims of other systems")
    departures: list[str] = Field(default=[], description="Where the file departs from its guide, though it was read")


class FhirAnswer(Answer):
    """Result for a FHIR request: a receipt per event, and the missing event numbers."""

    kind: str
    receipts: list[Receipt]
    missing: list[int]


class RequirementAnswer(Answer):
    """One requirement of a gate on the gate's date."""

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
    """The gate of a stage on the date of its service."""

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
    """An unmet requirement that stops the encounter or a claim. An overridden hold stays listed."""

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
    """A claim that is not due yet, with what it waits for."""

    claim: str
    waiting_for: list[str]
    total: str | None = None


class EncounterSummary(Answer):
    """An encounter in a list. `up_to_date`: every stored event is processed."""

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
    """An encounter by its last decision."""

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
    """A page of encounters, oldest first; `next` is the `after` of the next page."""

    encounters: list[EncounterSummary]
    next: str | None


class CustodyLink(BaseModel):
    """One link of the chain of identity with its content. Staff have pseudonyms."""

    model_config = ConfigDict(extra="allow")

    position: int
    key: str
    kind: Literal["record", "correction", "retraction"]
    occurred: datetime
    recorded_at: datetime
    previous_hash: str
    hash: str


class Timeline(Answer):
    """The chain of identity: records in effect in clinical order, and every link as appended."""

    encounter_id: str
    verified: bool
    first_broken: int | None
    milestones: list[MilestoneAnswer]
    records: list[CustodyLink]
    links: list[CustodyLink]


class Payment(Answer):
    """Payments of a claim version by its remittances, in US dollars."""

    remitted_at: datetime
    paid: Decimal = Field(description="Paid by the billed payer, reversals subtracted")
    kept: Decimal = Field(description="`paid` less amounts withheld from other payments")
    refused: Decimal
    patient_responsibility: Decimal = Field(description="Patient responsibility by that payer")
    forwarded: bool = Field(description="That payer crossed the claim over to secondary payers (CLP02 19 to 21)")
    crossover: list[str] = Field(description="Secondary payers of the crossover")
    paid_by_further: Decimal | None = Field(description="Paid by secondary payers; null without their response")
    balance: Decimal = Field(description="Patient balance by the last payer that responded")
    shortfall: Decimal | None = Field(description="Shortfall from published payment amounts")
    appeal_by: date | None


class ClaimAnswer(Answer):
    """A claim with its version and state. `errors` are the edits that hold the claim."""

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
    content_hash: str = Field(description="SHA-256 over the billed content")
    payment: Payment | None = Field(default=None, description="Null without a remittance")


class ClaimElsewhere(Answer):
    """A claim of another system before the cutover, as attested; this system never sends it."""

    letter: Letter
    ordinal: int
    number: str = Field(description="Claim number of that system")
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
    elsewhere: list[ClaimElsewhere] = Field(description="Claims billed by another system before the cutover")


class WorklistEntry(Answer):
    """A claim that needs work. Amounts are US dollars; for a denied claim the denied amount."""

    encounter_id: str
    claim: str = Field(description="Letter and ordinal")
    version: int | None = Field(description="Null if documents are missing and no version exists")
    state: str
    payer: str
    total: Decimal
    since: date = Field(description="Date of end of service, build, transmission or remittance, depending on the list")
    days: int
    owner: str
    waits_for: list[str]
    due: date | None = Field(description="Last day to appeal, or for timely filing")
    days_left: int | None
    reason: str | None = Field(default=None, description="Reason of payer or clearinghouse, or what is overdue")
    fix: str | None = Field(default=None, description="Next step")
    denial: int | None = Field(default=None, description="Number of the matching denial in the guide")
    citation: str | None = None
    paid: Decimal | None = Field(default=None, description="Amount paid by the payer for this version")
    lines: list[str] = Field(default_factory=list, description="Denied service lines with amount and reasons")
    packet: str | None = Field(default=None, description="Path of the claim's evidence packet")


class Worklist(Answer):
    name: Literal["unbilled", "held", "unacknowledged", "denied"]
    as_of: datetime
    claims: int
    total: Decimal
    entries: list[WorklistEntry]


class AlertAnswer(Answer):
    """A condition that needs work: open, acknowledged or resolved."""

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
    """Unresolved alerts of one cause. Severity, title, action and citation are those of the most severe alert."""

    cause: str
    severity: str
    title: str
    action: str
    citation: str
    owners: list[str]
    open: int = Field(description="Number of alerts not acknowledged")
    encounters: list[str]
    oldest: datetime
    acknowledge_by: datetime | None
    alerts: list[str] = Field(description="Alert IDs, the most severe first")


class Causes(Answer):
    causes: list[CauseAnswer]


class DeliveryAnswer(Answer):
    """An alert message to one destination."""

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
    """The role that acknowledges an alert. The note is stored encrypted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(min_length=1, max_length=100)
    note: str | None = Field(default=None, max_length=2000)


class Explanation(Answer):
    """The reason of one claim line, hold or alert."""

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
    """A quarantined message. Its content stays encrypted; `expires_at` is the end of retention of a retained message."""

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
    """The role that closes a quarantine entry, and the reason. The note is stored encrypted and required for `other`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(min_length=1, max_length=100)
    because: Literal["corrected", "duplicate", "not_ours", "other"]
    note: str | None = Field(default=None, max_length=2000)

    @model_validator(mode="after")
    def _other_is_explained(self) -> Closing:
        if self.because == "other" and not (self.note or "").strip():
            raise ValueError("note: required for the reason other")
        return self


class QuarantinePage(Answer):
    entries: list[QuarantineEntry]


class AuditAnswer(Answer):
    """An audit entry. `person` is the person of a pseudonym; `target` is an opaque ID."""

    audit_id: str
    at: datetime
    actor: str
    person: str | None
    action: str
    target: str
    outcome: str


class AuditPage(Answer):
    """A page of audit entries, the newest first; `next` is the `after` of the next page."""

    entries: list[AuditAnswer]
    next: str | None


SHORTEST_REASON = 10


class EmergencyReason(Answer):
    """Why an encounter must be read now: at least 10 characters. Stored encrypted, shown in the review."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=SHORTEST_REASON, max_length=500)

    @field_validator("reason")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if len(value.strip()) < SHORTEST_REASON:
            raise ValueError(f"must have at least {SHORTEST_REASON} characters")
        return value.strip()


class EmergencyOpened(Answer):
    """An encounter that is open to the caller until that time, to read."""

    access_id: str
    encounter_id: str
    until: datetime


class EmergencyEntry(Answer):
    """An emergency access for its review. `person` is the person of a pseudonym; `reason` is null after an erasure.

    `reads` counts the audit entries under this access.
    """

    access_id: str
    encounter_id: str
    actor: str
    person: str | None
    reason: str | None
    opened_at: datetime
    until: datetime
    reads: int
    reviewed: bool
    reviewed_at: datetime | None
    reviewed_by: str | None


class EmergencyPage(Answer):
    """A page of emergency accesses, the newest first; `next` is the `after` of the next page."""

    entries: list[EmergencyEntry]
    next: str | None


class Health(Answer):
    status: Literal["ok"]


class Readiness(Answer):
    """Whether events are received: the database accepts writes. They are received also while Temporal is down."""

    ready: bool
    database: bool
    temporal: bool


class Startup(Answer):
    """Whether the gateway can start its work: database reachable, its schema current, its data opened by the key file."""

    started: bool
    database: bool
    schema_current: bool
    keys: bool


class Alive(Answer):
    """Whether the process can go on; `stuck` names the parts that do not move. Only a restart helps those."""

    live: bool
    stuck: list[str]


Json = dict[str, Any]
