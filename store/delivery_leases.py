"""Leases of deliveries: one gateway at a time delivers an encounter's events.

A lease is short and renewed while its gateway works. A gateway that is gone or frozen lets it run out, and another goes on.
Where two clocks disagree, or one jumped, a lease that ends too far ahead counts for nothing: then two may deliver once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, func, or_, select

from store.tables import DeliveryLease, EncounterEvent

LEASE = timedelta(seconds=12)
TOO_FAR = timedelta(minutes=2)
"""No lease and no pause is as long: its moment comes from a clock that was wrong."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An encounter whose events this gateway delivers now.

    Attributes:
        failures: deliveries that failed before, one after another.
    """

    encounter: str
    failures: int


def claim(session: Session, holder: str, steady: int, failed: int, without: Collection[str]) -> list[Claimed]:
    """Lease encounters that have undelivered events and that no other gateway delivers.

    Args:
        steady: at most so many that never failed, or were delivered since.
        failed: at most so many that failed and whose pause is over.
        without: those this gateway delivers already.
    """
    now = _now(session)
    wanted = waiting(session, holder, steady, failed, without, now)
    if not wanted:
        return []
    insert = postgresql.insert if _postgresql(session) else sqlite.insert
    until = now + LEASE
    values = [{"encounter_id": one, "holder": holder, "until": until, "failures": 0} for one in sorted(wanted)]
    rows = insert(DeliveryLease).values(values)
    taken = rows.on_conflict_do_update(
        index_elements=["encounter_id"], set_={"holder": holder, "until": until}, where=_free(holder, now)
    )
    found = session.execute(taken.returning(col(DeliveryLease.encounter_id), col(DeliveryLease.failures)))
    return [Claimed(encounter, failures) for encounter, failures in found]


def waiting(
    session: Session, holder: str, steady: int, failed: int, without: Collection[str], now: datetime | None = None
) -> list[str]:
    """What `claim` would lease; writes nothing."""
    at = now or _now(session)
    events = select(EncounterEvent.encounter_id).where(col(EncounterEvent.delivered_at).is_(None)).distinct().subquery()
    query = (
        select(events.c.encounter_id)
        .outerjoin(DeliveryLease, col(DeliveryLease.encounter_id) == events.c.encounter_id)
        .where(events.c.encounter_id.not_in(without))
    )
    none, free = col(DeliveryLease.encounter_id).is_(None), _free(holder, at)
    never_failed = or_(none, and_(col(DeliveryLease.failures) == 0, free))
    due = and_(col(DeliveryLease.failures) > 0, free, _over(col(DeliveryLease.retry_at), at))
    found: list[str] = []
    for condition, most in ((never_failed, steady), (due, failed)):
        if most > 0:
            found += session.exec(query.where(condition).limit(most)).all()
    return found


def renew(session: Session, holder: str) -> None:
    """Extend every lease of a gateway that has not run out."""
    now = _now(session)
    session.execute(
        update(DeliveryLease)
        .where(col(DeliveryLease.holder) == holder, col(DeliveryLease.until) >= now)
        .values(until=now + LEASE)
    )


def release(session: Session, holder: str, encounter: str) -> None:
    """End a lease after a delivery without failure."""
    session.execute(
        delete(DeliveryLease).where(col(DeliveryLease.encounter_id) == encounter, col(DeliveryLease.holder) == holder)
    )


def give_back(session: Session, holder: str, encounter: str, failures: int, pause: float) -> None:
    """End a lease after a failure; the next try is due after a pause in seconds, by whichever gateway."""
    now = _now(session)
    session.execute(
        update(DeliveryLease)
        .where(col(DeliveryLease.encounter_id) == encounter, col(DeliveryLease.holder) == holder)
        .values(holder="", until=now, failures=failures, retry_at=now + timedelta(seconds=pause))
    )


def release_all(session: Session, holder: str) -> None:
    """End every lease of a gateway that stops; failures stay counted."""
    mine = col(DeliveryLease.holder) == holder
    session.execute(delete(DeliveryLease).where(mine, col(DeliveryLease.failures) == 0))
    session.execute(update(DeliveryLease).where(mine).values(holder="", until=_now(session)))


def left_over(session: Session) -> bool:
    """True when a lease is left of an encounter without an undelivered event."""
    return session.exec(select(DeliveryLease.encounter_id).where(_left_over(session)).limit(1)).first() is not None


def remove_left_over(session: Session) -> None:
    """Remove what is left where a release before this one delivered the events, or a gateway ended in between."""
    session.execute(delete(DeliveryLease).where(_left_over(session)))


def _left_over(session: Session) -> ColumnElement[bool]:
    undelivered = (
        select(EncounterEvent.sequence)
        .where(EncounterEvent.encounter_id == DeliveryLease.encounter_id, col(EncounterEvent.delivered_at).is_(None))
        .exists()
    )
    return and_(_over(col(DeliveryLease.until), _now(session)), ~undelivered)


def _free(holder: str, now: datetime) -> ColumnElement[bool]:
    return or_(col(DeliveryLease.holder) == holder, _over(col(DeliveryLease.until), now))


def _over(moment: Any, now: datetime) -> ColumnElement[bool]:
    return or_(moment.is_(None), moment <= now, moment > now + TOO_FAR)


def _now(session: Session) -> datetime:
    """The database's clock: gateways on several machines need not agree."""
    if not _postgresql(session):
        return datetime.now(UTC)
    found: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return found


def _postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
