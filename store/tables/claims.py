"""Tables of claims: versions and lines, what was sent, the files of payers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Numeric, UniqueConstraint, false
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class ClaimVersion(SQLModel, table=True):
    """One version of one claim. `state` is one of `domain.billing.submission.model.State`; `control_number` is CLM01, gap-free.

    `frequency` is 1 original, 7 replacement, 8 void. `standing` is the status after emission: the state it would
    have were it not superseded, amounts, dates by which a role must act. `decided_at` is the moment of the newest
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
    """A version that was sent, once. The file is rendered from this row, again after a crash.

    `interchange` (ISA13) counts without a gap for each receiver and mode; claims of one batch share it, `set_number` (ST02)
    distinguishes them. `replaces_event` is the payer response with the payer claim control number of the claim that this
    one replaces or voids. `insured_mark` and `parties_mark` are HMAC of who the file names: patient and insured; provider,
    payer and submitter. They show that one was corrected later, and nothing else. `file_digest` is the SHA-256 of the file;
    None for one that an earlier release wrote. `other_content`: the payer has the claim under this number with another bill
    than the version's; it was sent before a restore.
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
    sealed_in: int | None = Field(default=None, index=True)
    file_digest: str | None = None
    other_content: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    __table_args__ = (
        UniqueConstraint("mode", "receiver_id", "interchange", "set_number", name="uq_transmissions_set"),
    )


class Batch(SQLModel, table=True):
    """An interchange that collects claims of one trading partner and form while it is open.

    When it is closed, its file is rendered from its transmissions, once.
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
    """A payer response file that was imported. `digest` is HMAC of its content; `moved_at` is None while it is in the inbox."""

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


CONTROL_COUNTER = "claim control number"
"""The counter of claim control numbers (CLM01)."""


class Counter(SQLModel, table=True):
    """A counter of gap-free numbers; incremented in the transaction of the row that has the number."""

    __tablename__ = "counters"

    name: str = Field(primary_key=True)
    value: int = 0
