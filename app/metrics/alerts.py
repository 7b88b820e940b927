"""Counts alerts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select as wide_select
from sqlmodel import col, func, select

from app.metrics.families import Sample, age_band, sample
from app.metrics.reading import Reading
from store.tables import AlertDelivery, AlertRecord

RESOLVED = "resolved"
ASSESSMENT_OVERDUE, CLAIM_DENIED = "assessment_overdue", "claim_denied"


def count_alerts(reading: Reading) -> Iterator[Sample]:
    """Yields unresolved alerts, alerts past their deadline, and all alerts ever raised."""
    session = reading.session
    unresolved = AlertRecord.state != RESOLVED
    yield from (
        sample("cart_alerts_open", count, *labels)
        for *labels, count in session.exec(
            select(AlertRecord.kind, AlertRecord.severity, AlertRecord.state, func.count())
            .where(unresolved)
            .group_by(AlertRecord.kind, AlertRecord.severity, AlertRecord.state)
        )
    )
    for severity, since, escalated in session.exec(
        select(
            AlertRecord.severity,
            func.min(AlertRecord.opened_at),
            func.count().filter(col(AlertRecord.escalations) > 0),
        )
        .where(unresolved)
        .group_by(AlertRecord.severity)
    ):
        yield sample("cart_alerts_oldest_seconds", reading.seconds_since(since), severity)
        yield sample("cart_alerts_escalated", escalated, severity)
    for severity, owner, count in session.exec(
        select(AlertRecord.severity, AlertRecord.owner, func.count())
        .where(AlertRecord.state == "open", col(AlertRecord.acknowledge_by) < reading.now)
        .group_by(AlertRecord.severity, AlertRecord.owner)
    ):
        yield sample("cart_alerts_overdue", count, severity, owner)
    for kind, count in session.exec(select(AlertRecord.kind, func.count()).group_by(AlertRecord.kind)):
        yield sample("cart_alerts_raised_total", count, kind)
    for severity, opened in session.exec(select(AlertRecord.severity, AlertRecord.opened_at).where(unresolved)):
        yield sample("cart_alerts_age", 1, severity, age_band(reading.now - opened))
    overdue = select(func.count()).where(unresolved, AlertRecord.kind == ASSESSMENT_OVERDUE)
    yield sample("cart_assessments_overdue", session.exec(overdue).one())
    denied = select(AlertRecord.denial, func.count()).where(unresolved, AlertRecord.kind == CLAIM_DENIED)
    for denial, count in session.exec(denied.group_by(col(AlertRecord.denial))):
        yield sample("cart_claims_denied", count, denial)
    yield from _undelivered(reading)


def _undelivered(reading: Reading) -> Iterator[Sample]:
    columns = (
        col(AlertDelivery.destination),
        col(AlertDelivery.state),
        func.count(),
        func.max(AlertDelivery.attempts),
        func.min(AlertDelivery.created_at),
    )
    lost = wide_select(*columns).where(col(AlertDelivery.state) != "delivered").group_by(*columns[:2])
    for destination, state, count, tried, since in reading.session.execute(lost):
        yield sample("cart_alert_deliveries", count, destination, state)
        if state == "waiting" and tried:
            yield sample("cart_alert_deliveries_oldest_seconds", reading.seconds_since(since), destination)
