"""Alerts in the database: opened once per condition, resolved when the condition ends, never erased."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from domain.alerts.model import Alert
from store.tables import AlertRecord

ALERTS_LOCK = 0x43415233
"""Taken by what works on the alerts of all encounters at once, so that a retry beside a slow first try says nothing twice."""


OTHERS = ("intake.", "claim.", "watch.")
"""Key prefixes of alerts that do not follow from an encounter's facts: each resolves by its own door."""


def reconcile_alerts(
    session: Session, encounter: str | None, wanted: Sequence[Alert], now: datetime, prefix: str | None = None
) -> tuple[int, int]:
    """Open what should be open, resolve the rest; returns how many of each.

    A condition that comes back after its end is a new alert. Only alerts of the caller's own kind are touched: those
    whose key begins with `prefix`, or, without one, those of the encounter's decisions.
    """
    standing = {
        alert.key: alert
        for alert in session.exec(
            select(AlertRecord).where(
                AlertRecord.encounter_id == encounter, col(AlertRecord.state).in_(("open", "acknowledged"))
            )
        )
        if (alert.key.startswith(prefix) if prefix else not alert.key.startswith(OTHERS))
    }
    due = {alert.key: alert for alert in wanted}
    for key, alert in due.items():
        if key in standing:
            _refresh(standing[key], alert)
        else:
            session.add(_record(encounter, alert, now))
    gone = [alert for key, alert in standing.items() if key not in due]
    for over in gone:
        over.state, over.resolved_at = "resolved", now
        session.add(over)
    return len(due.keys() - standing.keys()), len(gone)


def _refresh(standing: AlertRecord, alert: Alert) -> None:
    """A standing alert may have become worse or named more events; its opening stays."""
    standing.severity, standing.title, standing.action = alert.severity.value, alert.title, alert.action
    standing.events = list(alert.events)
    standing.owner, standing.citation, standing.rule = alert.owner, alert.citation, alert.rule
    standing.denial, standing.layer = alert.denial, alert.layer


def _record(encounter: str | None, alert: Alert, now: datetime) -> AlertRecord:
    opened = max(now, alert.since)
    return AlertRecord(
        alert_id=f"alr_{secrets.token_hex(10)}",
        encounter_id=encounter,
        key=alert.key,
        kind=alert.kind,
        severity=alert.severity.value,
        owner=alert.owner,
        title=alert.title,
        action=alert.action,
        citation=alert.citation,
        rule=alert.rule,
        layer=alert.layer,
        denial=alert.denial,
        events=list(alert.events),
        since=alert.since,
        opened_at=opened,
        acknowledge_by=opened + timedelta(hours=alert.acknowledge_hours),
    )
