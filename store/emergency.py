"""Emergency access: one person reads one encounter outside of rights and facilities, for a limited time.

Each access has a reason, opens an alert and is reviewed by another person. The reason is free text and therefore sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session, col, func, select

from domain.alerts.model import Finding
from domain.rulebook import NoRule
from domain.rulebook.treatment_rows import Window
from store.alerts import open_once, resolve
from store.config import packaged_rules
from store.engine import last_rules
from store.keys import Keyring
from store.opaque import new_id
from store.tables import AuditEntry, EmergencyAccess, sealed_for

WINDOW = "emergency_access"
ALERT = "emergency_access"
SCOPE = "intake"
"""Of the alert: no release resolves alerts of this prefix when it decides on an encounter, the one before included."""
COLUMN = "emergency_access.reason"


@dataclass(frozen=True, slots=True)
class Reviewable:
    """An emergency access with its reason (None after an erasure) and how often it was used to read."""

    access: EmergencyAccess
    reason: str | None
    reads: int


def outcome_of(access: EmergencyAccess | None, done: str = "read") -> str:
    """The outcome of an audit entry; it names the emergency access that allowed a read."""
    return f"{done} under emergency access {access.access_id}" if access else done


def grant(
    session: Session, keys: Keyring, encounter_id: str, actor: str, reason: str, now: datetime
) -> EmergencyAccess:
    """Open an encounter to an actor for the time of the rulebook; an alert asks for the review."""
    access = EmergencyAccess(
        access_id=new_id("eac"),
        encounter_id=encounter_id,
        actor=actor,
        opened_at=now,
        until=now + _lasts(session, now),
    )
    access.reason = keys.seal(reason.encode(), sealed_for(COLUMN, access.access_id))
    session.add(access)
    session.flush()
    open_once(session, encounter_id, Finding(ALERT, access.access_id, scope=SCOPE, detail=_detail(access)), now)
    return access


def active(session: Session, encounter_id: str, actor: str, now: datetime) -> EmergencyAccess | None:
    """The access by which the actor may read the encounter now; it ends with its time or its review."""
    query = select(EmergencyAccess).where(
        EmergencyAccess.encounter_id == encounter_id,
        EmergencyAccess.actor == actor,
        EmergencyAccess.opened_at <= now,
        EmergencyAccess.until > now,
        col(EmergencyAccess.reviewed_at).is_(None),
    )
    return session.exec(query.order_by(col(EmergencyAccess.until).desc())).first()


def review(session: Session, access: EmergencyAccess, reviewer: str, now: datetime) -> None:
    """Note that an access was reviewed. One that is still open ends; its alert is resolved."""
    access.reviewed_at, access.reviewed_by = now, reviewer
    session.add(access)
    resolve(session, Finding(ALERT, access.access_id, scope=SCOPE).key, now)


def listed(session: Session, keys: Keyring, limit: int, before: EmergencyAccess | None = None) -> list[Reviewable]:
    """Emergency accesses, the newest first; `before` is the last one of the previous page."""
    order = (col(EmergencyAccess.opened_at).desc(), col(EmergencyAccess.access_id).desc())
    query = select(EmergencyAccess).order_by(*order).limit(limit)
    if before is not None:
        earlier = col(EmergencyAccess.opened_at) < before.opened_at
        same = (col(EmergencyAccess.opened_at) == before.opened_at) & (
            col(EmergencyAccess.access_id) < before.access_id
        )
        query = query.where(earlier | same)
    return shown(session, keys, session.exec(query).all())


def shown(session: Session, keys: Keyring, rows: Sequence[EmergencyAccess]) -> list[Reviewable]:
    """Emergency accesses with reason and number of reads."""
    outcomes = {outcome_of(row, done) for row in rows for done in ("read", "shown")}
    query = (
        select(AuditEntry.outcome, func.count())
        .where(col(AuditEntry.target).in_({row.encounter_id for row in rows}), col(AuditEntry.outcome).in_(outcomes))
        .group_by(AuditEntry.outcome)
    )
    reads = dict(session.exec(query).all())
    return [
        Reviewable(
            row,
            keys.open(row.reason, sealed_for(COLUMN, row.access_id)).decode() if row.reason else None,
            sum(reads.get(outcome_of(row, done), 0) for done in ("read", "shown")),
        )
        for row in rows
    ]


def _detail(access: EmergencyAccess) -> str:
    return f"{access.actor} opened this encounter until {access.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({access.access_id})"


def _lasts(session: Session, now: datetime) -> timedelta:
    """The time of the rulebook; a rulebook of the site without it has the packaged one."""
    on = now.astimezone(UTC).date()
    try:
        return last_rules(session).one(Window, on, key=WINDOW).span
    except NoRule:
        return packaged_rules().one(Window, on, key=WINDOW).span
