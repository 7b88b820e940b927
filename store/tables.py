"""Every table. Columns that could name a person hold ciphertext or a keyed hash, never plain text.

Ciphertext is bound to its column and row (`sealed_for`), so that it cannot be moved to another.

The stores that do hold identity, encrypted: `patients`, `staff`, `inbox.body`, `inbox_conflicts.body`,
`quarantine.body`, `quarantine.closed_note`, `aliases.value`, `fhir_resources.body`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, DateTime, Index, LargeBinary, Numeric, Text, UniqueConstraint, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


def sealed_for(column: str, row: str) -> str:
    """The purpose a value of that column and row is sealed for."""
    return f"{column}:{row}"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Stored in UTC, returned zoned, on SQLite as on PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Inbox(SQLModel, table=True):
    """One accepted event. `dedupe_key` is HMAC(source, id); `body_hash` HMAC of the canonical body."""

    __tablename__ = "inbox"

    event_id: str = Field(primary_key=True)
    dedupe_key: str = Field(unique=True)
    body_hash: str
    type: str = Field(index=True)
    feed: str
    subject_key: str
    time: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    body: bytes = Field(sa_type=LargeBinary)
    patient_ref: str | None = None
    holder_event: bool = False
    # Each decision reads the holder events, which are few; the rows of patients must not come into it.
    __table_args__ = (
        Index(
            "ix_inbox_holders",
            "event_id",
            postgresql_where=text("holder_event IS true"),
            sqlite_where=text("holder_event IS 1"),
        ),
        Index("ix_inbox_feed_received_at", "feed", "received_at"),
    )


class InboxConflict(SQLModel, table=True):
    """The same (source, id) with another body: kept, never applied."""

    __tablename__ = "inbox_conflicts"

    conflict_id: str = Field(primary_key=True)
    event_id: str = Field(foreign_key="inbox.event_id", index=True)
    body_hash: str
    received_at: datetime = Field(sa_type=UtcDateTime)
    body: bytes = Field(sa_type=LargeBinary)
    __table_args__ = (UniqueConstraint("event_id", "body_hash"),)


EXPIRES = text("expires_at IS NOT NULL")
"""The few entries that go by themselves; asked for twice a minute, while the others stay for good."""


class Quarantine(SQLModel, table=True):
    """An event that could not be matched, mapped or believed.

    State: waiting (until its subject is known, or a replay by hand), released, invalid (does not fit the catalogue),
    conflict (another body of an event that still waits), unmapped (a message that could not be translated), aside (of
    somebody of whom nothing is known here, on a feed of the whole hospital: released like one that waits, gone at
    `expires_at`), closed (by hand), erased (with its patient). `event_id` is the one the event keeps when it is released.
    `closed_from` is the state it had before somebody closed it; `closed_because` says why, `closed_note` the rest of it, sealed.
    """

    __tablename__ = "quarantine"

    quarantine_id: str = Field(primary_key=True)
    dedupe_key: str = Field(index=True)
    body_hash: str
    type: str
    feed: str
    subject_key: str = Field(index=True)
    reasons: list[str] = Field(sa_type=JSON)
    received_at: datetime = Field(sa_type=UtcDateTime)
    body: bytes = Field(sa_type=LargeBinary)
    state: str = Field(default="waiting", index=True)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    event_id: str | None = None
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_from: str | None = None
    closed_by: str | None = None
    closed_because: str | None = None
    closed_note: bytes | None = Field(default=None, sa_type=LargeBinary)
    __table_args__ = (
        UniqueConstraint("dedupe_key", "body_hash"),
        Index("ix_quarantine_expires_at", "expires_at", postgresql_where=EXPIRES, sqlite_where=EXPIRES),
    )


class QuarantineKey(SQLModel, table=True):
    """A keyed hash by which a waiting event would be matched: it is tried again when one of them becomes known."""

    __tablename__ = "quarantine_keys"

    match_key: str = Field(primary_key=True)
    quarantine_id: str = Field(primary_key=True, foreign_key="quarantine.quarantine_id", index=True)


class Encounter(SQLModel, table=True):
    """The reading side of an encounter: what the last decision showed.

    `next_sequence` is taken under the row's lock and belongs to the inbox alone. `acted_sequence` and `acted_at` name the
    newest decision that any activity began to carry out: a late retry of an older one stops there.
    """

    __tablename__ = "encounters"

    encounter_id: str = Field(primary_key=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    patient_ref: str | None = Field(default=None, index=True)
    status: str = Field(default="open", index=True)
    next_sequence: int = 1
    stage: str = Field(default="apheresis", index=True)
    product: str = "unknown"
    payer: str = "unknown"
    payer_class: str = "unknown"
    facilities: list[str] = Field(default_factory=list, sa_type=JSON)
    holds_open: int = 0
    next_due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acted_sequence: int = 0
    acted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_sequence: int = 0
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    rulebook_digest: str = ""
    view: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


NOTICE = "cart.identity.shared"
"""Type of a notice: another encounter's event tells this one that a cell identifier is carried twice."""

STOCK_NOTICE = "cart.stock.used"
"""Type of a notice: a dose charted for another patient changes what this encounter's centre has at hand."""

NOTICES = (NOTICE, STOCK_NOTICE)


class EncounterEvent(SQLModel, table=True):
    """An event's place in an encounter. Holder events stand in every encounter they concern.

    A row of a type of `NOTICES` names an event of another encounter and is none of this one's own.
    """

    __tablename__ = "encounter_events"

    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id")
    sequence: int = Field(primary_key=True)
    event_id: str = Field(foreign_key="inbox.event_id", index=True)
    type: str
    note_key: str
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    __table_args__ = (
        UniqueConstraint("encounter_id", "event_id"),
        Index("ix_encounter_events_undelivered", "delivered_at", "encounter_id"),
    )


class Alias(SQLModel, table=True):
    """An identifier of an encounter. `alias_key` is HMAC(value); the kind is order, mrn, coi, din, bag, admission, …"""

    __tablename__ = "aliases"

    alias_key: str = Field(primary_key=True)
    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id", index=True)
    kind: str = Field(primary_key=True)
    value: bytes = Field(sa_type=LargeBinary)


class Patient(SQLModel, table=True):
    """The vault: who the patient is. `identity` is ciphertext; `mrn_key` is HMAC(mrn, facility) for matching."""

    __tablename__ = "patients"

    patient_ref: str = Field(primary_key=True)
    mrn_key: str = Field(index=True)
    identity: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Staff(SQLModel, table=True):
    """The vault: who a staff pseudonym is."""

    __tablename__ = "staff"

    pseudonym: str = Field(primary_key=True)
    value: bytes = Field(sa_type=LargeBinary)


class CustodyRecord(SQLModel, table=True):
    """One link of the chain of identity; `hash` is `domain.custody.ledger.link_hash` over every other column."""

    __tablename__ = "custody_records"

    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id")
    position: int = Field(primary_key=True)
    key: str
    kind: str
    occurred: datetime = Field(sa_type=UtcDateTime)
    content: str = Field(sa_type=Text)
    previous_hash: str
    hash: str
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    __table_args__ = (UniqueConstraint("encounter_id", "key"),)


class CustodyIndex(SQLModel, table=True):
    """The index over the chains, one row each time a chain grows; names encounters by value, so that their rows may go."""

    __tablename__ = "custody_index"

    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    encounter_id: str
    length: int
    head: str
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    previous_hash: str
    hash: str
    __table_args__ = (UniqueConstraint("encounter_id", "length"),)


class ClaimVersion(SQLModel, table=True):
    """One version of one claim. `state` is one of `domain.billing.submission.status.State`; `control_number` is CLM01, gap-free.

    `frequency` is 1 original, 7 replacement, 8 void. `standing` is what the life after emission came to: the state it would
    have were it not superseded, amounts, dates by which somebody must act. `decided_at` is the moment of the newest
    decision that was kept.
    """

    __tablename__ = "claims"

    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id")
    letter: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    version: int = Field(primary_key=True)
    content_hash: str
    state: str = Field(index=True)
    form: str
    payer: str
    total: Decimal = Field(sa_type=Numeric(12, 2))
    document: dict[str, Any] = Field(sa_type=JSON)
    error_count: int = 0
    sequence: int
    rulebook_digest: str
    edition: str
    built_at: datetime = Field(sa_type=UtcDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    emitted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    control_number: str | None = Field(default=None, unique=True)
    frequency: str = "1"
    standing: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Transmission(SQLModel, table=True):
    """A version that went out, once. The file is rendered from this row, as often as a crash asks for it.

    `interchange` (ISA13) counts without a gap for each receiver and mode; claims of one batch share it, `set_number` (ST02)
    tells them apart. `replaces_event` is the reply that named the
    payer's number of the claim this one replaces or voids. `insured_mark` and `parties_mark` are HMAC of who the file names:
    patient and insured; provider, payer and submitter. They tell a later correction, and nothing else.
    """

    __tablename__ = "transmissions"

    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id")
    letter: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    version: int = Field(primary_key=True)
    control_number: str = Field(unique=True)
    mode: str
    receiver_id: str
    interchange: int
    payer: str
    replaces_event: str | None = None
    insured_mark: str | None = None
    parties_mark: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    written_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    set_number: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    __table_args__ = (
        UniqueConstraint("mode", "receiver_id", "interchange", "set_number", name="uq_transmissions_set"),
    )


class Batch(SQLModel, table=True):
    """An interchange that takes several claims of one trading partner and form while it is open.

    It takes claims until it is closed, whoever closes it; then its file is rendered from its transmissions, once.
    """

    __tablename__ = "batches"

    mode: str = Field(primary_key=True)
    receiver_id: str = Field(primary_key=True)
    interchange: int = Field(primary_key=True)
    payer: str
    form: str
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closes_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    written_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReplyFile(SQLModel, table=True):
    """A file of replies that was taken in. `digest` is HMAC of its content; `moved_at` None until it left the inbox."""

    __tablename__ = "reply_files"

    digest: str = Field(primary_key=True)
    taken_at: datetime = Field(sa_type=UtcDateTime)
    moved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    replies: int = 0


class ClaimLine(SQLModel, table=True):
    """One service line, for worklists and totals."""

    __tablename__ = "claim_lines"

    encounter_id: str = Field(primary_key=True)
    letter: str = Field(primary_key=True)
    ordinal: int = Field(primary_key=True)
    version: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    revenue_code: str | None = None
    hcpcs: str | None = None
    units: int
    charge: Decimal = Field(sa_type=Numeric(12, 2))
    date_of_service: date
    rule: str


UNTOLD = text("state != told_state OR escalations != told_escalations OR severity != told_severity")
"""The alerts whose last change nobody was told of; asked every two seconds, while alerts are never deleted."""


class AlertRecord(SQLModel, table=True):
    """An alert from its opening to its end. State: open, acknowledged, resolved; never deleted.

    `told_…` is what the desk last told its destinations of.
    """

    __tablename__ = "alerts"

    alert_id: str = Field(primary_key=True)
    encounter_id: str | None = Field(default=None, foreign_key="encounters.encounter_id", index=True)
    key: str = Field(index=True)
    kind: str
    severity: str
    owner: str
    title: str
    action: str
    citation: str
    rule: str
    layer: str | None = None
    denial: int | None = None
    events: list[str] = Field(default_factory=list, sa_type=JSON)
    since: datetime = Field(sa_type=UtcDateTime)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    acknowledge_by: datetime = Field(sa_type=UtcDateTime)
    state: str = Field(default="open", index=True)
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str | None = None
    acknowledged_note: bytes | None = Field(default=None, sa_type=LargeBinary)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    escalations: int = 0
    told_state: str = ""
    told_severity: str = ""
    told_escalations: int = 0
    __table_args__ = (Index("ix_alerts_untold", "alert_id", postgresql_where=UNTOLD, sqlite_where=UNTOLD),)


class AlertDelivery(SQLModel, table=True):
    """One message about alerts of one cause to one destination; its body is made from the alerts when it is sent.

    State: waiting, delivered, dead (given up: refused for good, or too old). `change` is opened, escalated, worsened,
    acknowledged, resolved, or standing (all that stand, said again).
    """

    __tablename__ = "alert_deliveries"

    delivery_id: str = Field(primary_key=True)
    destination: str = Field(index=True)
    cause: str
    change: str
    alert_ids: list[str] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    next_attempt_at: datetime = Field(sa_type=UtcDateTime)
    state: str = Field(default="waiting", index=True)
    attempts: int = 0
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = ""


class CertificationRow(SQLModel, table=True):
    """The reading side of certificates that events brought. `holder_key` is HMAC(holder)."""

    __tablename__ = "certifications"

    event_id: str = Field(primary_key=True, foreign_key="inbox.event_id")
    layer: str
    product: str | None = None
    holder_key: str = Field(index=True)
    status: str
    valid_from: date
    valid_to: date | None = None
    time: datetime = Field(sa_type=UtcDateTime)


CONTROL_COUNTER = "claim control number"
"""The counter of claim control numbers (CLM01)."""


class Counter(SQLModel, table=True):
    """Gap-free numbers, taken in the transaction of the row that carries them."""

    __tablename__ = "counters"

    name: str = Field(primary_key=True)
    value: int = 0


class RecordMerge(SQLModel, table=True):
    """Two record numbers are one patient's. Either may stand first; what is known by one is known by the other."""

    __tablename__ = "record_merges"

    old_key: str = Field(primary_key=True)
    new_key: str = Field(primary_key=True, index=True)
    feed: str
    at: datetime = Field(sa_type=UtcDateTime)


class FeedHeard(SQLModel, table=True):
    """When a sender was last heard, whatever it sent: also what was refused or has nothing to do with CAR-T."""

    __tablename__ = "feeds_heard"

    feed: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)


class FhirSubscription(SQLModel, table=True):
    """How far the notifications of a subscription go, which of their numbers were skipped, when they were asked for."""

    __tablename__ = "fhir_subscriptions"

    subscription_key: str = Field(primary_key=True)
    feed: str
    last_number: int = 0
    missing: list[int] = Field(default_factory=list, sa_type=JSON)
    heard_at: datetime = Field(sa_type=UtcDateTime)
    reference: str = ""
    asked: int = 0
    ask_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class FhirResource(SQLModel, table=True):
    """What is remembered of a resource of a FHIR server: a patient's or a place's identifiers, the versions of what came
    without one. A row with `ask_at` is a resource that is named here and not known: it is asked for.

    Attributes:
        resource_key: keyed hash of the feed and of type and id.
        until: when it is forgotten, unless it is named again.
    """

    __tablename__ = "fhir_resources"

    resource_key: str = Field(primary_key=True)
    feed: str
    kind: str
    heard_at: datetime = Field(sa_type=UtcDateTime)
    until: datetime = Field(sa_type=UtcDateTime, index=True)
    asked: int = 0
    ask_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    body: bytes = Field(sa_type=LargeBinary)


class WebhookSeen(SQLModel, table=True):
    """A signed message that was taken, so that a copy of it is refused. Forgotten when its time is over."""

    __tablename__ = "webhook_seen"

    message_key: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)


class SessionEnded(SQLModel, table=True):
    """A session of the board that was signed out before its time. Forgotten when its time is over."""

    __tablename__ = "sessions_ended"

    session_key: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime, index=True)


class AuditEntry(SQLModel, table=True):
    """Who looked at or changed what. `actor` is a token's name, `target` an opaque id."""

    __tablename__ = "audit"

    audit_id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    actor: str
    action: str
    target: str
    outcome: str
    __table_args__ = (Index("ix_audit_target_at", "target", "at"), Index("ix_audit_actor_at", "actor", "at"))
