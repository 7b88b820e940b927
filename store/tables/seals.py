"""Tables of sealed ledgers: signed batches over rows that must not change, and the removals that were meant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, LargeBinary, Text
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class SealedBatch(SQLModel, table=True):
    """A batch of one ledger. `entries` names each row by key and hash; `signature` is Ed25519 over `hash`."""

    __tablename__ = "sealed_batches"

    ledger: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    sealed_at: datetime = Field(sa_type=UtcDateTime)
    entries: str = Field(sa_type=Text)
    previous_hash: str
    hash: str
    signature: bytes = Field(sa_type=LargeBinary)


class SealedRemoval(SQLModel, table=True):
    """Rows of a ledger that the installation removed on purpose, at most some hundred in one.

    `signature` is made by the command that removed them, with the key file: without it, no one can excuse a missing row.
    """

    __tablename__ = "sealed_removals"

    removal_id: str = Field(primary_key=True)
    ledger: str = Field(index=True)
    row_keys: list[str] = Field(sa_type=JSON)
    reason: str
    actor: str
    at: datetime = Field(sa_type=UtcDateTime)
    signature: bytes = Field(sa_type=LargeBinary)
    sealed_in: int | None = Field(default=None, index=True)
