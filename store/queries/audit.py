"""Read-only listing of the audit: who read, changed or was denied what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, select

from store.tables import AlertRecord, AuditEntry, Encounter, EncounterEvent


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries: of an encounter with its alerts and events, by actor, action, outcome and time.

    `action` and `outcome` are matched whole or by their first words. `after` is the last entry of the previous page.
    """

    encounter: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: AuditEntry | None = None


def audit_entries(session: Session, wanted: AuditFilter, limit: int) -> Iterator[AuditEntry]:
    """Entries of the audit, the newest first."""
    query = select(AuditEntry).where(*_conditions(wanted))
    return iter(session.exec(query.order_by(col(AuditEntry.at).desc(), col(AuditEntry.audit_id)).limit(limit)))


def encounter_of_target(session: Session, target: str) -> Encounter | None:
    """The encounter that the target of an entry is, or whose alert it is."""
    encounter = session.get(Encounter, target)
    if encounter is None:
        alert = session.get(AlertRecord, target)
        encounter = session.get(Encounter, alert.encounter_id) if alert and alert.encounter_id else None
    return encounter


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.actor is not None:
        yield col(AuditEntry.actor) == wanted.actor
    if wanted.action is not None:
        yield _begins(col(AuditEntry.action), wanted.action)
    if wanted.outcome is not None:
        yield _begins(col(AuditEntry.outcome), wanted.outcome)
    if wanted.since:
        yield col(AuditEntry.at) >= wanted.since
    if wanted.until:
        yield col(AuditEntry.at) < wanted.until
    if wanted.encounter:
        yield _about(wanted.encounter)
    if wanted.after:
        same = and_(col(AuditEntry.at) == wanted.after.at, col(AuditEntry.audit_id) > wanted.after.audit_id)
        yield or_(col(AuditEntry.at) < wanted.after.at, same)


def _begins(column: Any, words: str) -> ColumnElement[bool]:
    """The column equals these words or begins with them."""
    return or_(column == words, column.startswith(f"{words} ", autoescape=True))


def _about(encounter: str) -> ColumnElement[bool]:
    alerts = select(AlertRecord.alert_id).where(AlertRecord.encounter_id == encounter)
    events = select(EncounterEvent.event_id).where(EncounterEvent.encounter_id == encounter)
    target = col(AuditEntry.target)
    return or_(target == encounter, target.in_(alerts), target.in_(events))
