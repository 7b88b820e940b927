"""Alert escalation: raise the level of alerts not acknowledged in time, and queue a message for every change.

The code that finds a condition opens the alert in its own transaction. The escalation compares each alert with what was last
reported. So no alert is lost between the row and its message, and none is reported twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from activities.alerting.destinations import REPEAT_EVERY, Destination, Destinations
from domain.alerts.causes import GRAVE, causes_of
from store import alert_deliveries, alerts
from store.alert_deliveries import STANDING
from store.engine import Session, take_turn
from store.tables import AlertRecord
from workflows.messages import EscalationReport


def work(session: Session, destinations: Destinations, now: datetime, again: timedelta) -> EscalationReport:
    """Escalate, then queue a message per destination, change and cause. Safe to repeat."""
    take_turn(session, alerts.ALERTS_LOCK)
    alerts.lock_changing(session, now)
    escalated = alerts.escalate(session, now, again)
    session.flush()
    queued = _queue_changes(session, destinations.destinations, now)
    queued += sum(_repeat(session, each, now) for each in destinations.destinations if each.repeats)
    alert_deliveries.forget(session, [each.name for each in destinations.destinations], now)
    session.flush()
    return _report(session, destinations.destinations, escalated, queued)


def change_of(alert: AlertRecord) -> str | None:
    """Return the change of the alert since its last report; None when there is nothing to report."""
    if alert.state == "resolved":
        return "resolved" if alert.told_state not in ("", "resolved") else None
    if alert.told_state in ("", "resolved"):
        return "opened"
    if alert.escalations > alert.told_escalations:
        return "escalated"
    if GRAVE.index(alert.severity) < GRAVE.index(alert.told_severity or alert.severity):
        return "worsened"
    return "acknowledged" if alert.state == "acknowledged" and alert.told_state == "open" else None


def _queue_changes(session: Session, destinations: Sequence[Destination], now: datetime) -> int:
    changed = alerts.unreported_alerts(session)
    causes = causes_of([*alerts.unresolved(session), *(alert for alert in changed if alert.state == "resolved")])
    reports: dict[tuple[str, str], list[AlertRecord]] = {}
    for alert in changed:
        change = change_of(alert)
        if change:
            reports.setdefault((change, causes[alert.alert_id]), []).append(alert)
        alerts.mark_reported(alert)
    return sum(
        _queue(session, destination, cause, change, found, now)
        for (change, cause), found in sorted(reports.items())
        for destination in destinations
    )


def _repeat(session: Session, destination: Destination, now: datetime) -> bool:
    """Queue every unresolved alert again; it replaces what was not delivered of the last repeat."""
    last = alert_deliveries.last_repeat(session, destination.name, now)
    if last is not None and now - last < REPEAT_EVERY:
        return False
    alert_deliveries.drop_repeats(session, destination.name)
    return _queue(session, destination, "", STANDING, alerts.unresolved(session), now)


def _queue(
    session: Session, destination: Destination, cause: str, change: str, found: Iterable[AlertRecord], now: datetime
) -> bool:
    selected = [alert for alert in found if destination.receives(alert)]
    return alert_deliveries.queue(session, destination.name, cause, change, selected, now)


def _report(session: Session, destinations: Sequence[Destination], escalated: int, queued: int) -> EscalationReport:
    open_alerts, unresolved, first = alerts.counts(session)
    waiting, dead, tried, repeated = alert_deliveries.counts(session)
    repeat = repeated + REPEAT_EVERY if repeated is not None and any(each.repeats for each in destinations) else None
    due = {"the next escalation": first, "the next try of a message": tried, "the next repeat of open alerts": repeat}
    title, moment = min(
        ((title, at) for title, at in due.items() if at is not None), key=lambda pair: pair[1], default=("", None)
    )
    return EscalationReport(
        escalated=escalated,
        queued=queued,
        open=open_alerts,
        standing=unresolved,
        waiting=waiting,
        dead=dead,
        due=moment,
        due_title=title,
    )
