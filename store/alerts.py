"""Alerts in the database: opened once per condition, resolved when the condition ends, never erased."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlmodel import Session, and_, col, func, or_, select

from domain.alerts import make
from domain.alerts.model import Alert, Finding
from domain.rulebook import NoRule
from store.alert_deliveries import is_due
from store.config import packaged_rules
from store.engine import last_rules
from store.tables import AlertDelivery, AlertRecord

ALERTS_LOCK = 0x43415233
"""Held while the alerts of all encounters are processed: a retry beside a slow first try reports nothing twice."""


OTHERS = ("intake.", "claim.", "watch.")
"""Key prefixes of alerts that do not follow from an encounter's facts; the code that opens them resolves them."""


def reconcile_alerts(
    session: Session, encounter: str | None, wanted: Sequence[Alert], now: datetime, prefix: str | None = None
) -> tuple[int, int]:
    """Open what should be open, resolve the rest; returns how many of each.

    A condition that comes back after its end is a new alert. Only alerts of the caller's own kind are touched: those
    whose key begins with `prefix`, or, without one, those of the encounter's decisions.
    """
    unresolved = {
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
        if key in unresolved:
            _refresh(unresolved[key], alert)
        else:
            session.add(_record(encounter, alert, now))
    gone = [alert for key, alert in unresolved.items() if key not in due]
    for over in gone:
        over.state, over.resolved_at = "resolved", now
        session.add(over)
    return len(due.keys() - unresolved.keys()), len(gone)


def open_once(session: Session, encounter: str | None, finding: Finding, now: datetime) -> None:
    """Open the alert of a finding unless one of its key is open for the encounter.

    The text is that of the last rulebook that loaded; a kind that is missing there has the packaged one.
    """
    known = select(AlertRecord).where(
        AlertRecord.key == finding.key, AlertRecord.encounter_id == encounter, AlertRecord.state != "resolved"
    )
    if session.exec(known).first() is None:
        session.add(_record(encounter, _worded(session, finding, now), now))
        session.flush()


def _worded(session: Session, finding: Finding, now: datetime) -> Alert:
    on = now.astimezone(UTC).date()
    try:
        return make.alert(last_rules(session), finding, on, now)
    except NoRule:
        return make.alert(packaged_rules(), finding, on, now)


def resolve(session: Session, key: str, now: datetime) -> None:
    """Resolve the alerts of a key that are open or acknowledged."""
    for alert in session.exec(select(AlertRecord).where(AlertRecord.key == key, AlertRecord.state != "resolved")):
        alert.state, alert.resolved_at = "resolved", now
        session.add(alert)


def unreported() -> object:
    """The condition of alerts whose last change was not reported to the destinations yet."""
    return or_(
        col(AlertRecord.state) != col(AlertRecord.told_state),
        col(AlertRecord.escalations) != col(AlertRecord.told_escalations),
        col(AlertRecord.severity) != col(AlertRecord.told_severity),
    )


def _past_acknowledgement(now: datetime) -> object:
    return and_(col(AlertRecord.state) == "open", col(AlertRecord.acknowledge_by) <= now)


def lock_changing(session: Session, now: datetime) -> None:
    """Lock what may change, in one order, so that no one acknowledges or resolves it in between."""
    held = select(AlertRecord).where(or_(_past_acknowledgement(now), unreported()))  # type: ignore[arg-type]
    session.exec(held.order_by(AlertRecord.alert_id).with_for_update()).all()


def escalate(session: Session, now: datetime, again: timedelta) -> int:
    """Count up every open alert past its time to acknowledge; unacknowledged, it is counted again after `again`."""
    overdue = session.exec(select(AlertRecord).where(_past_acknowledgement(now))).all()  # type: ignore[arg-type]
    for alert in overdue:
        alert.escalations += 1
        alert.acknowledge_by = now + again
        session.add(alert)
    return len(overdue)


def unreported_alerts(session: Session) -> Sequence[AlertRecord]:
    return session.exec(select(AlertRecord).where(unreported())).all()  # type: ignore[arg-type]


def work_waiting(session: Session, now: datetime) -> tuple[int, str | None, int]:
    """How many alerts have an unreported change, the last of them, and how many messages are due."""
    count, last = session.exec(
        select(func.count(), func.max(AlertRecord.alert_id)).where(unreported())  # type: ignore[arg-type]
    ).one()
    waiting = select(func.count()).where(AlertDelivery.state == "waiting", is_due(now))
    return count, last, session.exec(waiting).one()


def mark_reported(alert: AlertRecord) -> None:
    """Note the state, severity and escalations as those last reported."""
    alert.told_state, alert.told_severity = alert.state, alert.severity
    alert.told_escalations = alert.escalations


def unresolved(session: Session) -> Sequence[AlertRecord]:
    """Every alert that is not resolved, the oldest first."""
    query = select(AlertRecord).where(AlertRecord.state != "resolved")
    return session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)).all()


def counts(session: Session) -> tuple[int, int, datetime | None]:
    """How many alerts are open and how many unresolved, and the next time by which one must be acknowledged."""
    open_alerts, first = session.exec(
        select(func.count(), func.min(AlertRecord.acknowledge_by)).where(AlertRecord.state == "open")
    ).one()
    return open_alerts, session.exec(select(func.count()).where(AlertRecord.state != "resolved")).one(), first


def _refresh(unresolved: AlertRecord, alert: Alert) -> None:
    """Update an unresolved alert: severity, texts and events may have changed; its opening stays."""
    unresolved.severity, unresolved.title, unresolved.action = alert.severity.value, alert.title, alert.action
    unresolved.events = list(alert.events)
    unresolved.owner, unresolved.citation, unresolved.rule = alert.owner, alert.citation, alert.rule
    unresolved.denial, unresolved.layer = alert.denial, alert.layer


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
