"""Read-only listings of alerts and of the messages about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from sqlmodel import Session, col, select

from store.tables import AlertDelivery, AlertRecord

RESOLVED = "resolved"


def alerts_of(session: Session, encounter: str, state: str | None = None) -> Sequence[AlertRecord]:
    """Every alert of an encounter, the oldest first."""
    query = select(AlertRecord).where(AlertRecord.encounter_id == encounter)
    if state:
        query = query.where(AlertRecord.state == state)
    return session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)).all()


def alerts(
    session: Session, state: str | None = None, severity: str | None = None, kind: str | None = None
) -> Iterator[AlertRecord]:
    """Alerts of every encounter and of none, the newest first."""
    query = select(AlertRecord)
    if state:
        query = query.where(AlertRecord.state == state)
    if severity:
        query = query.where(AlertRecord.severity == severity)
    if kind:
        query = query.where(AlertRecord.kind == kind)
    return iter(session.exec(query.order_by(col(AlertRecord.opened_at).desc(), AlertRecord.alert_id)))


def unresolved_alerts(session: Session) -> Sequence[AlertRecord]:
    """Every alert that is open or acknowledged."""
    return session.exec(select(AlertRecord).where(AlertRecord.state != RESOLVED)).all()


def unresolved_of_owners(session: Session, owners: Collection[str]) -> Iterator[AlertRecord]:
    """The unresolved alerts that one of these roles must act on, the oldest first."""
    query = select(AlertRecord).where(AlertRecord.state != RESOLVED, col(AlertRecord.owner).in_(owners))
    return iter(session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)))


def unresolved_of_kinds(session: Session, kinds: Collection[str]) -> Iterator[AlertRecord]:
    """The unresolved alerts of these kinds."""
    return iter(
        session.exec(select(AlertRecord).where(AlertRecord.state != RESOLVED, col(AlertRecord.kind).in_(kinds)))
    )


def encounters_with_alerts(session: Session) -> set[str]:
    """Encounters with an unresolved alert."""
    query = select(AlertRecord.encounter_id).where(AlertRecord.state != RESOLVED)
    return {one for one in session.exec(query) if one}


def unresolved_by_severity(session: Session) -> dict[str, Counter[str]]:
    """How many alerts are unresolved, by encounter and severity; those of no encounter under the empty string."""
    query = select(AlertRecord.encounter_id, AlertRecord.severity).where(AlertRecord.state != RESOLVED)
    counted: dict[str, Counter[str]] = {}
    for encounter, severity in session.exec(query):
        counted.setdefault(encounter or "", Counter())[severity] += 1
    return counted


def alert_deliveries(session: Session, state: str | None, limit: int) -> Sequence[AlertDelivery]:
    """Messages about alerts, the newest first."""
    query = select(AlertDelivery)
    if state:
        query = query.where(AlertDelivery.state == state)
    return session.exec(
        query.order_by(col(AlertDelivery.created_at).desc(), AlertDelivery.delivery_id).limit(limit)
    ).all()
