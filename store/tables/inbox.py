"""Tables of what came in: events, the message quarantine, feeds and their subscriptions."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import JSON, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class Inbox(SQLModel, table=True):
    """One accepted event. `dedupe_key` is HMAC(source, id); `body_hash` HMAC of the canonical body.

    `sealed_in` is the batch that seals its receipt, `content_sealed_in` the one that seals `body`, which a rotation of keys
    and an erasure write again.
    """

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
    sealed_in: int | None = Field(default=None, index=True)
    content_sealed_in: int | None = Field(default=None, index=True)
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
"""The few entries that expire; queried twice a minute, while the others are kept for good."""


class Quarantine(SQLModel, table=True):
    """An event that could not be matched, mapped or believed.

    State: waiting (until its subject is known, or a replay), released, invalid (does not fit the catalog),
    conflict (another body of an event that still waits), unmapped (a message that could not be translated), `aside` (a
    retained message of an unmatched patient, on a feed of the whole hospital: released like one that waits, deleted at
    `expires_at`), closed (by a role), erased (with its patient). `event_id` is the one the event keeps when it is released.
    `closed_from` is the state before the closing; `closed_because` the reason, `closed_note` a sealed note.
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
    """A keyed hash that matches a waiting event: the event is tried again when the hash becomes known."""

    __tablename__ = "quarantine_keys"

    match_key: str = Field(primary_key=True)
    quarantine_id: str = Field(primary_key=True, foreign_key="quarantine.quarantine_id", index=True)


class CertificationRow(SQLModel, table=True):
    """One change of a certificate, for reading. `holder_key` is HMAC(holder)."""

    __tablename__ = "certifications"

    event_id: str = Field(primary_key=True, foreign_key="inbox.event_id")
    layer: str
    product: str | None = None
    holder_key: str = Field(index=True)
    status: str
    valid_from: date
    valid_to: date | None = None
    time: datetime = Field(sa_type=UtcDateTime)


class RecordMerge(SQLModel, table=True):
    """Two record numbers of one patient, in either order: what is found by one is found by the other."""

    __tablename__ = "record_merges"

    old_key: str = Field(primary_key=True)
    new_key: str = Field(primary_key=True, index=True)
    feed: str
    at: datetime = Field(sa_type=UtcDateTime)


class FeedSeen(SQLModel, table=True):
    """When a feed was last received, counting refused messages and those unrelated to CAR-T."""

    __tablename__ = "feeds_heard"

    feed: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)


class FhirSubscription(SQLModel, table=True):
    """The last notification number of a subscription, the numbers that are missing, and when they were requested."""

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
    """What is remembered of a resource of a FHIR server: a patient's or a location's identifiers, the versions of what came
    without one. A row with `ask_at` is a resource that is named here and not known: it is requested.

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
