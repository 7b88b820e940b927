"""Steps for the log: one line for each thing that was committed, with opaque references and never a value.

The lines follow from the rows themselves, after the transaction: no way into the store can leave one out, and nothing that
was rolled back is logged. Only columns with values that this program made (opaque ids, kinds, states, counts) are named,
and the type of an event where the catalog has it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import event, inspect
from sqlalchemy.orm import UOWTransaction
from sqlmodel import Session, SQLModel

from domain.events import CATALOGUE
from store.tables import (
    AlertDelivery,
    AlertRecord,
    ClaimVersion,
    CustodyRecord,
    Encounter,
    EncounterEvent,
    Inbox,
    InboxConflict,
    Quarantine,
)

log = logging.getLogger("cart.steps")

STEPS: Final = "steps"
FEEDS: Final = "feeds of the events received"
Facts = dict[str, object]
Step = tuple[str, Facts]


def log_step(step: str, **facts: object) -> None:
    """Log one line. `facts` are opaque references, kinds, states and counts; None is left out."""
    log.info(step, extra={"facts": {name: value for name, value in facts.items() if value not in (None, [])}})


class LoggedSession(Session):
    """A session whose commits are logged."""


@event.listens_for(LoggedSession, "after_flush")
def _gather(session: Session, _context: UOWTransaction) -> None:
    if log.isEnabledFor(logging.INFO):
        gathered: list[Step] = session.info.setdefault(STEPS, [])
        feeds: dict[str, str] = session.info.setdefault(FEEDS, {})
        feeds |= {row.event_id: row.feed for row in session.new if isinstance(row, Inbox)}
        gathered += [step for row in session.new for step in _made(row)]
        gathered += [step for row in session.dirty for step in _changed(row)]


@event.listens_for(LoggedSession, "after_commit")
def _log(session: Session) -> None:
    feeds = session.info.pop(FEEDS, {})
    for step, facts in session.info.pop(STEPS, []):
        feed = {"feed": feeds.get(facts["event_id"])} if step == "event.accepted" else {}
        log_step(step, **facts, **feed)


@event.listens_for(LoggedSession, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(STEPS, None)
    session.info.pop(FEEDS, None)


def _made(row: Any) -> Iterator[Step]:
    match row:
        case EncounterEvent():
            where = {"encounter": row.encounter_id, "sequence": row.sequence}
            yield "event.accepted", {"event_id": row.event_id, **where, "type": row.type}
        case Inbox() if row.holder_event:
            yield "event.accepted", {"event_id": row.event_id, "type": row.type}
        case InboxConflict():
            yield "event.conflict", {"event_id": row.event_id}
        case Quarantine():
            yield "event.quarantined", _of_quarantine(row)
        case Encounter():
            yield "encounter.opened", {"encounter": row.encounter_id}
        case ClaimVersion():
            yield f"claim.{row.state}", _of_claim(row)
        case CustodyRecord():
            yield "custody.recorded", {"encounter": row.encounter_id, "position": row.position, "kind": row.kind}
        case AlertRecord():
            yield f"alert.{_opened(row)}", _of_alert(row)
        case AlertDelivery():
            yield "message.written", _of_message(row)


def _changed(row: Any) -> Iterator[Step]:
    match row:
        case Quarantine() if _moved(row, "state"):
            yield f"quarantine.{row.state}", _of_quarantine(row)
        case Encounter() if _moved(row, "status"):
            step = "reopened" if row.status == "open" else row.status
            yield f"encounter.{step}", {"encounter": row.encounter_id, "stage": row.stage}
        case ClaimVersion() if _moved(row, "state"):
            yield f"claim.{row.state}", _of_claim(row)
        case AlertRecord() if _moved(row, "state"):
            yield f"alert.{_opened(row)}", _of_alert(row)
        case AlertRecord() if _moved(row, "escalations"):
            yield "alert.escalated", _of_alert(row) | {"escalations": row.escalations}
        case AlertDelivery() if _moved(row, "state") or _moved(row, "attempts"):
            yield f"message.{row.state}", _of_message(row)


def _moved(row: SQLModel, column: str) -> bool:
    return bool(inspect(row).attrs[column].history.has_changes())


def _opened(row: AlertRecord) -> str:
    return "opened" if row.state == "open" else row.state


def _of_quarantine(row: Quarantine) -> Facts:
    known = row.type if row.type in CATALOGUE else None
    where: Facts = {"quarantine": row.quarantine_id, "event_id": row.event_id}
    return where | {"state": row.state, "type": known, "feed": row.feed}


def _of_claim(row: ClaimVersion) -> Facts:
    where: Facts = {"encounter": row.encounter_id, "claim": f"{row.letter}/{row.ordinal}", "version": row.version}
    return where | {"sequence": row.sequence, "errors": row.error_count or None}


def _of_alert(row: AlertRecord) -> Facts:
    what: Facts = {"alert": row.alert_id, "encounter": row.encounter_id, "kind": row.kind}
    return what | {"severity": row.severity, "owner": row.owner}


def _of_message(row: AlertDelivery) -> Facts:
    what: Facts = {"message": row.delivery_id, "destination": row.destination, "change": row.change}
    return what | {"alerts": row.alert_ids, "attempts": row.attempts or None}
