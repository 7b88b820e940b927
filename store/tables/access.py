"""Tables of access: the audit, signed messages seen, sessions ended, emergency access."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime


class WebhookSeen(SQLModel, table=True):
    """A signed message that was accepted, so that a copy is refused. Deleted when its time is over."""

    __tablename__ = "webhook_seen"

    message_key: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)


class SessionEnded(SQLModel, table=True):
    """A session of the board that was signed out before its time. Deleted when its time is over."""

    __tablename__ = "sessions_ended"

    session_key: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime, index=True)


class EmergencyAccess(SQLModel, table=True):
    """One person's access to one encounter in an emergency. `reason` is sealed, and None once the patient is erased."""

    __tablename__ = "emergency_access"

    access_id: str = Field(primary_key=True)
    encounter_id: str = Field(foreign_key="encounters.encounter_id", index=True)
    actor: str
    reason: bytes | None = Field(default=None, sa_type=LargeBinary)
    opened_at: datetime = Field(sa_type=UtcDateTime, index=True)
    until: datetime = Field(sa_type=UtcDateTime)
    reviewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reviewed_by: str | None = None


class AuditEntry(SQLModel, table=True):
    """Who read or changed what. `actor` is a token's name, `target` an opaque id, `sealed_in` the batch of its seal."""

    __tablename__ = "audit"

    audit_id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    actor: str
    action: str
    target: str
    outcome: str
    sealed_in: int | None = Field(default=None, index=True)
    __table_args__ = (Index("ix_audit_target_at", "target", "at"), Index("ix_audit_actor_at", "actor", "at"))
