"""Tables of alerts and the messages about them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from store.tables.columns import UtcDateTime

UNREPORTED = text("state != told_state OR escalations != told_escalations OR severity != told_severity")
"""Alerts with an unreported change; queried every two seconds, and alerts are never deleted."""


class AlertRecord(SQLModel, table=True):
    """An alert. State: open, acknowledged, resolved; never deleted.

    `told_state`, `told_severity`, `told_escalations`: as last reported to the destinations. `sealed_in`, `end_sealed_in`,
    `acknowledgment_sealed_in`: the batches that seal its opening, its end and its acknowledgment.
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
    sealed_in: int | None = Field(default=None, index=True)
    end_sealed_in: int | None = Field(default=None, index=True)
    acknowledgment_sealed_in: int | None = Field(default=None, index=True)
    __table_args__ = (Index("ix_alerts_untold", "alert_id", postgresql_where=UNREPORTED, sqlite_where=UNREPORTED),)


class AlertDelivery(SQLModel, table=True):
    """One message about alerts of one cause to one destination; its body is made from the alerts when it is sent.

    State: waiting, delivered, dead (given up: refused for good, or too old). `change` is opened, escalated, worsened,
    acknowledged, resolved, or standing (every unresolved alert, repeated).
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
