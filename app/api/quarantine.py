"""Message quarantine: list, replay and close entries."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from app.api import counters
from app.api.answers import Closing, QuarantineEntry, QuarantinePage, Receipt
from app.api.bodies import model_from
from app.api.events import receipt_of
from app.api.parts import PartsOf, QuarantineReader, Replayer, require_all_facilities
from app.api.problems import Refusal, documented
from intake.inbox import quarantine
from intake.inbox.closing import ClosingReason, NotOpen, close
from intake.inbox.receive import Disposition, replay
from store.engine import serialize
from store.queries.quarantine import newest_entries
from store.tables import Quarantine
from store.vault import audit

LARGEST_PAGE = 1000
UNKNOWN = "no quarantine entry has this ID"

router = APIRouter(tags=["quarantine"])

State = Annotated[
    Literal["waiting", "released", "invalid", "conflict", "unmapped", "aside", "closed", "erased"] | None,
    Query(description="`aside`: retained messages. Default: all states but `aside`"),
]


@router.get("/v1/quarantine", responses=documented(422), summary="List quarantined messages")
def list_quarantine(parts: PartsOf, actor: QuarantineReader, state: State = None) -> QuarantinePage:
    """Returns the newest 1,000 entries with their reasons; the content stays encrypted.

    Requires access to all facilities, since the facility of an entry is not known.
    """
    require_all_facilities(actor, "entries of the quarantine")
    with parts.db.write() as session:
        rows = newest_entries(session, LARGEST_PAGE, state, but=quarantine.ASIDE)
        audit(session, actor.name, "quarantine", "(list)", "read", parts.clock())
    return QuarantinePage(entries=[_entry(row) for row in rows])


def _entry(row: Quarantine) -> QuarantineEntry:
    return QuarantineEntry(**row.model_dump(include=set(QuarantineEntry.model_fields)))


@router.post("/v1/quarantine/{quarantine_id}/replay", responses=documented(404, 409), summary="Replay an entry")
def replay_entry(quarantine_id: str, parts: PartsOf, actor: Replayer) -> Receipt:
    """Processes the message again; audited. A released entry returns `duplicate`."""
    require_all_facilities(actor, "entries of the quarantine")
    try:
        result = replay(parts.db, parts.keys, quarantine_id, parts.clock(), actor.name, parts.reader)
    except quarantine.UnknownEntry:
        raise Refusal(404, UNKNOWN) from None
    except quarantine.NeverApplied:
        raise Refusal(
            409, "the event is already accepted with other content, or the patient was erased; close the entry"
        ) from None
    counters.REPLAYED.labels(outcome=result.disposition.value).inc()
    if result.disposition is Disposition.ACCEPTED and parts.deliverer is not None:
        parts.deliverer.wake()
    return receipt_of(result)


BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": Closing.model_json_schema()}}}}


async def _decided(request: Request, actor: Replayer) -> Closing:
    return await model_from(request, actor, Closing, "not a valid closing; give `by` and `because`")


@router.post(
    "/v1/quarantine/{quarantine_id}/close",
    responses=documented(400, 404, 409, 413, 422),
    openapi_extra=BODY,
    summary="Close an entry",
)
def close_entry(
    quarantine_id: str, body: Annotated[Closing, Depends(_decided)], parts: PartsOf, actor: Replayer
) -> QuarantineEntry:
    """Closes an entry that will never be released: it no longer counts or alerts. A replay opens it again."""
    require_all_facilities(actor, "entries of the quarantine")
    reason = ClosingReason(body.by, body.because, body.note, actor.name)
    try:
        with parts.db.write() as session:
            serialize(session)
            return _entry(close(session, parts.keys, quarantine_id, reason, parts.clock()))
    except quarantine.UnknownEntry:
        raise Refusal(404, UNKNOWN) from None
    except NotOpen:
        raise Refusal(409, "the entry is released, closed, erased or retained; it cannot be closed") from None
