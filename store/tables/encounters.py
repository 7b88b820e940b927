"""Tables of encounters: what the last decision showed, their events and identifiers, the vault, the chain of identity."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class Encounter(SQLModel, table=True):
    """An encounter as the last decision showed it.

    `next_sequence` is incremented under the row's lock by the inbox alone. `acted_sequence` and `acted_at` name the
    newest decision that an activity began to carry out: a late retry of an older one stops there.
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
"""Type of a notice: another patient's encounter has one of this encounter's cell identifiers."""


STOCK_NOTICE = "cart.stock.used"
"""Type of a notice: a dose charted for another patient changes the stock of this encounter's center."""


NOTICES = (NOTICE, STOCK_NOTICE)


class EncounterEvent(SQLModel, table=True):
    """An event's place in an encounter. Holder events are in every encounter they concern.

    A row of a type of `NOTICES` names an event of another encounter.
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


class DeliveryLease(SQLModel, table=True):
    """Which gateway delivers the events of an encounter now, or when a delivery that failed is tried again.

    No row: no delivery is under way, and none failed. Moments are of the database's clock on PostgreSQL.

    Attributes:
        holder: the gateway; empty where it gave the lease back.
        until: when the lease ends by itself, since its gateway is gone or frozen.
        failures: deliveries that failed one after another.
        retry_at: not before, after a failure.
    """

    __tablename__ = "delivery_leases"

    encounter_id: str = Field(primary_key=True)
    holder: str = Field(default="", sa_column_kwargs={"server_default": ""})
    until: datetime = Field(sa_type=UtcDateTime)
    failures: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Alias(SQLModel, table=True):
    """An identifier of an encounter. `alias_key` is HMAC(value); the kind is order, mrn, coi, din, bag, admission, …"""

    __tablename__ = "aliases"

    alias_key: str = Field(primary_key=True)
    encounter_id: str = Field(primary_key=True, foreign_key="encounters.encounter_id", index=True)
    kind: str = Field(primary_key=True)
    value: bytes = Field(sa_type=LargeBinary)


class Patient(SQLModel, table=True):
    """The vault: the identity of a patient. `identity` is ciphertext; `mrn_key` is HMAC(mrn, facility) for matching."""

    __tablename__ = "patients"

    patient_ref: str = Field(primary_key=True)
    mrn_key: str = Field(index=True)
    identity: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Staff(SQLModel, table=True):
    """The vault: the name of a staff pseudonym."""

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
    """The index over the chains: one row for each growth of a chain; no foreign key, so that encounters may be deleted."""

    __tablename__ = "custody_index"

    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    encounter_id: str
    length: int
    head: str
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    previous_hash: str
    hash: str
    __table_args__ = (UniqueConstraint("encounter_id", "length"),)
