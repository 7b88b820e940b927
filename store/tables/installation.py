"""Tables of the installation: its epoch and keys, findings about the outbox, claims sent that the database lost."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import JSON, LargeBinary, Numeric, Text
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class Installation(SQLModel, table=True):
    """The one row of an installation.

    `epoch` is the leading part of every number taken; a restore raises it. `key_check` is a keyed hash of a fixed text, by
    which a foreign key file shows. `data_key_ids` are the keys that sealed values name. `outbox_index_since` is the moment
    from which every file has its line in the index of the outbox.
    """

    __tablename__ = "installation"

    row: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    installation_id: str
    epoch: int = 0
    key_check: str | None = None
    data_key_ids: list[str] = Field(default_factory=list, sa_type=JSON)
    outbox_index_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    epoch_raised_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OutboxFinding(SQLModel, table=True):
    """Where outbox, its index and the database contradict each other. While one is not settled, nothing is sent."""

    __tablename__ = "outbox_findings"

    finding_key: str = Field(primary_key=True)
    kind: str
    path: str | None = None
    mode: str | None = None
    receiver_id: str | None = None
    interchange: int | None = None
    control_number: str | None = None
    found_at: datetime = Field(sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    settled_by: str | None = None
    note: str | None = Field(default=None, sa_type=Text)


class RecoveredClaim(SQLModel, table=True):
    """A claim that was sent and that the database does not know, as its file or the index of the outbox shows it.

    `state` is open, adopted (a version has its numbers) or closed (a person decided). `decision`: same or other, a biller's
    answer for the claim `decided_for`. Marks are keyed hashes: `exact_mark` of the transaction without our numbers,
    `bill_mark` of what it bills, `member_mark` and `person_mark` of who it names.
    """

    __tablename__ = "recovered_claims"

    recovered_id: str = Field(primary_key=True)
    state: str = Field(default="open", index=True)
    control_number: str = Field(index=True)
    mode: str
    receiver_id: str
    interchange: int
    set_number: int
    file_digest: str | None = None
    encounter_id: str | None = None
    letter: str | None = None
    ordinal: int | None = None
    version: int | None = None
    form: str | None = None
    payer_id: str | None = None
    frequency: str | None = None
    total: Decimal | None = Field(default=None, sa_type=Numeric(12, 2))
    statement_from: date | None = None
    statement_through: date | None = None
    member_mark: str | None = Field(default=None, index=True)
    person_mark: str | None = None
    exact_mark: str | None = None
    bill_mark: str | None = None
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    sent_at: datetime = Field(sa_type=UtcDateTime)
    recovered_at: datetime = Field(sa_type=UtcDateTime)
    decision: str | None = None
    decided_for: str | None = None
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    settled_by: str | None = None
    note: str | None = Field(default=None, sa_type=Text)
