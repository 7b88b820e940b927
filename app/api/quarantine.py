"""Quarantine: what waits and why, and trying it again."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from sqlmodel import col, select

from activities.store import quarantine
from activities.store.inbox import Disposition, replay
from activities.store.tables import Quarantine
from activities.store.vault import audit
from app.api import counters
from app.api.answers import QuarantineEntry, QuarantinePage, Receipt
from app.api.events import receipt_of
from app.api.parts import PartsOf, QuarantineReader, Replayer, whole_house
from app.api.problems import Refusal, documented

LARGEST_PAGE = 1000

router = APIRouter(tags=["quarantine"])

State = Annotated[
    Literal["waiting", "released", "invalid", "conflict", "unmapped", "erased"] | None,
    Query(description="all if absent"),
]


@router.get("/v1/quarantine", responses=documented(422), summary="What waits or was refused")
def list_quarantine(parts: PartsOf, actor: QuarantineReader, state: State = None) -> QuarantinePage:
    """The newest thousand entries with their reasons; the content stays encrypted.

    Nobody knows yet which facility an entry concerns, so it takes a caller of all of them.
    """
    whole_house(actor, "entries of the quarantine")
    query = select(Quarantine)
    if state:
        query = query.where(Quarantine.state == state)
    order = (col(Quarantine.received_at).desc(), Quarantine.quarantine_id)
    with parts.db.write() as session:
        rows = session.exec(query.order_by(*order).limit(LARGEST_PAGE)).all()
        audit(session, actor.name, "quarantine", "(list)", "read", parts.clock())
    fields = set(QuarantineEntry.model_fields)
    return QuarantinePage(entries=[QuarantineEntry(**row.model_dump(include=fields)) for row in rows])


@router.post("/v1/quarantine/{quarantine_id}/replay", responses=documented(404, 409), summary="Try an entry again")
def replay_entry(quarantine_id: str, parts: PartsOf, actor: Replayer) -> Receipt:
    """Look for the place of the event once more; the replay itself is on record. A released entry answers `duplicate`."""
    whole_house(actor, "entries of the quarantine")
    try:
        result = replay(parts.db, parts.keys, quarantine_id, parts.clock(), actor.name, parts.reader)
    except quarantine.UnknownEntry:
        raise Refusal(404, "no quarantine entry has this id") from None
    except quarantine.NeverApplied:
        raise Refusal(
            409, "another body of the same event stands, or the patient was erased; it is never applied"
        ) from None
    counters.REPLAYED.labels(outcome=result.disposition.value).inc()
    if result.disposition is Disposition.ACCEPTED and parts.deliverer is not None:
        parts.deliverer.wake()
    return receipt_of(result)
