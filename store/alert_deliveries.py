"""Messages about alerts in the database: queued once per destination, change and cause, kept until delivered or given up."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete
from sqlmodel import Session, col, func, or_, select

from store.tables import AlertDelivery, AlertRecord

STANDING = "standing"
"""The change of a message that repeats every unresolved alert."""

AHEAD = timedelta(minutes=30)
"""Longer than any pause between two tries. A moment further ahead comes from a clock that was wrong and was set back."""

KEPT = timedelta(days=90)
"""How long delivered messages stay listed. Dead letters stay until a role deals with them."""


def queue(
    session: Session, destination: str, cause: str, change: str, alerts: Sequence[AlertRecord], now: datetime
) -> bool:
    """Queue a message; False where there are no alerts to report."""
    if alerts:
        session.add(
            AlertDelivery(
                delivery_id=f"dlv_{secrets.token_hex(10)}",
                destination=destination,
                cause=cause,
                change=change,
                alert_ids=[alert.alert_id for alert in alerts],
                created_at=now,
                next_attempt_at=now,
            )
        )
    return bool(alerts)


def last_repeat(session: Session, destination: str, now: datetime) -> datetime | None:
    """When every unresolved alert was last repeated to a destination; a moment ahead is that of a clock set back."""
    query = select(func.max(AlertDelivery.created_at)).where(
        AlertDelivery.destination == destination,
        AlertDelivery.change == STANDING,
        col(AlertDelivery.created_at) <= now,
    )
    return session.exec(query).one()


def drop_repeats(session: Session, destination: str) -> None:
    """Forget the repeats to a destination: a newer one replaces them, delivered or not."""
    session.execute(
        delete(AlertDelivery).where(
            col(AlertDelivery.destination) == destination, col(AlertDelivery.change) == STANDING
        )
    )


def forget(session: Session, destinations: Sequence[str], now: datetime) -> None:
    """Drop delivered messages past their time; give up what waits for a destination that is no longer in the file."""
    session.execute(
        delete(AlertDelivery).where(
            col(AlertDelivery.state) == "delivered", col(AlertDelivery.delivered_at) < now - KEPT
        )
    )
    for lost in session.exec(
        select(AlertDelivery).where(
            AlertDelivery.state == "waiting", col(AlertDelivery.destination).not_in(destinations)
        )
    ):
        lost.state, lost.last_error = "dead", "no destination of this name is in the destinations file"
        session.add(lost)


def counts(session: Session) -> tuple[int, int, datetime | None, datetime | None]:
    """How many messages wait and how many were given up, the next try, and the oldest repeat."""
    waiting, tried = session.exec(
        select(func.count(), func.min(AlertDelivery.next_attempt_at)).where(AlertDelivery.state == "waiting")
    ).one()
    dead = session.exec(select(func.count()).where(AlertDelivery.state == "dead")).one()
    repeated = session.exec(select(func.min(AlertDelivery.created_at)).where(AlertDelivery.change == STANDING)).one()
    return waiting, dead, tried, repeated


def is_due(now: datetime) -> ColumnElement[bool]:
    """The condition of messages whose next try is due: one further ahead than any pause was set by a clock that was wrong."""
    return or_(col(AlertDelivery.next_attempt_at) <= now, col(AlertDelivery.next_attempt_at) > now + AHEAD)


def due(session: Session, now: datetime) -> dict[str, list[str]]:
    """The messages that are due, by destination; those tried less often come first."""
    query = select(AlertDelivery.destination, AlertDelivery.delivery_id).where(
        AlertDelivery.state == "waiting", is_due(now)
    )
    order = (col(AlertDelivery.attempts), col(AlertDelivery.created_at), col(AlertDelivery.delivery_id))
    found: dict[str, list[str]] = {}
    for name, delivery_id in session.exec(query.order_by(*order)):
        found.setdefault(name, []).append(delivery_id)
    return found


def message(session: Session, delivery_id: str) -> tuple[AlertDelivery, Sequence[AlertRecord]]:
    """A message and its alerts as they are now."""
    row = session.get_one(AlertDelivery, delivery_id)
    query = select(AlertRecord).where(col(AlertRecord.alert_id).in_(row.alert_ids))
    return row, session.exec(query.order_by(col(AlertRecord.opened_at), AlertRecord.alert_id)).all()


def waiting(session: Session, delivery_id: str) -> AlertDelivery | None:
    """The message, locked, while it still waits."""
    row = session.get(AlertDelivery, delivery_id, with_for_update=True)
    return row if row is not None and row.state == "waiting" else None
