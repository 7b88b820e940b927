"""The alert desk's hand: escalate what nobody took in time, and put a message into the outbox for every change.

An alert is opened by whoever finds its condition, in that one's own transaction; the desk notices by comparing what is with
what was told. So no alert is lost between the row and its message, and none is told twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Session, and_, col, func, or_, select

from activities.alerting.destinations import SAID_AGAIN, Destination, Destinations
from domain.alerts.causes import GRAVE, causes_of
from store.alerts import ALERTS_LOCK
from store.engine import take_turn
from store.tables import AlertDelivery, AlertRecord
from workflows.messages import DeskReport

STANDING = "standing"
KEPT = timedelta(days=90)
"""How long delivered messages stay listed. Dead letters stay until somebody deals with them."""


def untold() -> object:
    """The condition of alerts whose last change nobody was told of."""
    return or_(
        col(AlertRecord.state) != col(AlertRecord.told_state),
        col(AlertRecord.escalations) != col(AlertRecord.told_escalations),
        col(AlertRecord.severity) != col(AlertRecord.told_severity),
    )


unreported = untold


def work(session: Session, destinations: Destinations, now: datetime, again: timedelta) -> DeskReport:
    """Escalate, then queue a message per destination, change and cause. Safe to repeat."""
    take_turn(session, ALERTS_LOCK)
    _hold(session, now)
    escalated = escalate(session, now, again)
    session.flush()
    queued = _queue_changes(session, destinations.destinations, now)
    queued += sum(_queue_standing(session, each, now) for each in destinations.destinations if each.said_again)
    _forget(session, destinations.destinations, now)
    session.flush()
    return DeskReport(escalated=escalated, queued=queued, **_standing(session, destinations.destinations, now))


def _hold(session: Session, now: datetime) -> None:
    """Lock what may change, in one order, so that nobody acknowledges or resolves it in between."""
    overdue = and_(col(AlertRecord.state) == "open", col(AlertRecord.acknowledge_by) <= now)
    held = select(AlertRecord).where(or_(overdue, untold()))  # type: ignore[arg-type]
    session.exec(held.order_by(AlertRecord.alert_id).with_for_update()).all()


def escalate(session: Session, now: datetime, again: timedelta) -> int:
    """Count up every open alert whose time to acknowledge is over; unacknowledged, it is counted again after `again`."""
    overdue: Iterable[AlertRecord] = session.exec(
        select(AlertRecord).where(AlertRecord.state == "open", col(AlertRecord.acknowledge_by) <= now)
    ).all()
    count = 0
    for alert in overdue:
        alert.escalations += 1
        alert.acknowledge_by = now + again
        session.add(alert)
        count += 1
    return count


def change_of(alert: AlertRecord) -> str | None:
    """What happened to the alert since it was told of last; None when nobody needs to hear it."""
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
    changed = session.exec(select(AlertRecord).where(untold())).all()  # type: ignore[arg-type]
    causes = causes_of([*_that_stand(session), *(alert for alert in changed if alert.state == "resolved")])
    told: dict[tuple[str, str], list[AlertRecord]] = {}
    for alert in changed:
        change = change_of(alert)
        if change:
            told.setdefault((change, causes[alert.alert_id]), []).append(alert)
        alert.told_state, alert.told_severity = alert.state, alert.severity
        alert.told_escalations = alert.escalations
        session.add(alert)
    queued = 0
    for (change, cause), alerts in sorted(told.items()):
        for destination in destinations:
            queued += _queue(session, destination, cause, change, alerts, now)
    return queued


def _queue_standing(session: Session, destination: Destination, now: datetime) -> bool:
    """All that stand, said again; what was not delivered of the last time is replaced."""
    mine = select(func.max(AlertDelivery.created_at)).where(
        AlertDelivery.destination == destination.name, AlertDelivery.change == STANDING
    )
    last = session.exec(mine).one()
    if last is not None and now - last < SAID_AGAIN:
        return False
    gone = delete(AlertDelivery).where(
        col(AlertDelivery.destination) == destination.name, col(AlertDelivery.change) == STANDING
    )
    session.execute(gone)
    return _queue(session, destination, "", STANDING, _that_stand(session), now)


def _that_stand(session: Session) -> Sequence[AlertRecord]:
    query = select(AlertRecord).where(AlertRecord.state != "resolved")
    return session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)).all()


def _queue(
    session: Session, destination: Destination, cause: str, change: str, alerts: Iterable[AlertRecord], now: datetime
) -> bool:
    wanted = [alert.alert_id for alert in alerts if destination.wants(alert)]
    if wanted:
        session.add(
            AlertDelivery(
                delivery_id=f"dlv_{secrets.token_hex(10)}",
                destination=destination.name,
                cause=cause,
                change=change,
                alert_ids=wanted,
                created_at=now,
                next_attempt_at=now,
            )
        )
    return bool(wanted)


def _forget(session: Session, destinations: Sequence[Destination], now: datetime) -> None:
    """Delivered messages past their time, and what waits for a destination that was taken out of the file: that is dead."""
    old = delete(AlertDelivery).where(
        col(AlertDelivery.state) == "delivered", col(AlertDelivery.delivered_at) < now - KEPT
    )
    session.execute(old)
    known = [each.name for each in destinations]
    for lost in session.exec(
        select(AlertDelivery).where(AlertDelivery.state == "waiting", col(AlertDelivery.destination).not_in(known))
    ):
        lost.state, lost.last_error = "dead", "no destination of this name is in the destinations file"
        session.add(lost)


def _standing(session: Session, destinations: Sequence[Destination], now: datetime) -> dict[str, object]:
    open_alerts, first = session.exec(
        select(func.count(), func.min(AlertRecord.acknowledge_by)).where(AlertRecord.state == "open")
    ).one()
    standing = session.exec(select(func.count()).where(AlertRecord.state != "resolved")).one()
    waiting, tried = session.exec(
        select(func.count(), func.min(AlertDelivery.next_attempt_at)).where(AlertDelivery.state == "waiting")
    ).one()
    dead = session.exec(select(func.count()).where(AlertDelivery.state == "dead")).one()
    said = session.exec(select(func.min(AlertDelivery.created_at)).where(AlertDelivery.change == STANDING)).one()
    repeat = said + SAID_AGAIN if said is not None and any(each.said_again for each in destinations) else None
    due = {"the next escalation": first, "the next try of a message": tried, "saying again what stands": repeat}
    title, moment = min(
        ((title, at) for title, at in due.items() if at is not None), key=lambda pair: pair[1], default=("", None)
    )
    return {
        "open": open_alerts,
        "standing": standing,
        "waiting": waiting,
        "dead": dead,
        "due": moment,
        "due_title": title,
    }
