"""Counting alerts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlmodel import col, func, select

from activities.store.tables import AlertRecord
from app.metrics.families import Sample, sample
from app.metrics.reading import Reading

RESOLVED = "resolved"


def count_alerts(reading: Reading) -> Iterator[Sample]:
    """Alerts that stand, those past their time, and all that ever were."""
    session = reading.session
    standing = AlertRecord.state != RESOLVED
    yield from (
        sample("cart_alerts_open", count, *labels)
        for *labels, count in session.exec(
            select(AlertRecord.kind, AlertRecord.severity, AlertRecord.state, func.count())
            .where(standing)
            .group_by(AlertRecord.kind, AlertRecord.severity, AlertRecord.state)
        )
    )
    for severity, since, escalated in session.exec(
        select(
            AlertRecord.severity,
            func.min(AlertRecord.opened_at),
            func.count().filter(col(AlertRecord.escalations) > 0),
        )
        .where(standing)
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
