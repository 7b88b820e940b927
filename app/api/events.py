"""`POST /v1/events`: receives one event or a batch; returns a receipt for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from app.api import counters
from app.api.actors import Actor
from app.api.answers import Receipt, Receipts
from app.api.bodies import body_from
from app.api.parts import Parts, PartsOf
from app.api.problems import FieldProblem, Refusal, documented
from app.api.senders import Sender
from domain.events import CATALOGUE, Envelope
from intake.cloudevents import BATCH, STRUCTURED, NotAccepted, NotReadable, Posted, read_http
from intake.inbox.placement import NotAllowed
from intake.inbox.receive import Disposition, ReceiptResult, receive

MAX_EVENT = 256 * 1024
ENVELOPE = Envelope.model_json_schema()
EVENT_SCHEMA = {
    **ENVELOPE,
    "description": "CloudEvent 1.0; docs/contract/events has the schema of each type",
    "properties": {**ENVELOPE["properties"], "type": {"enum": sorted(CATALOGUE)}},
    "additionalProperties": True,
}
BATCH_SCHEMA = {"type": "array", "items": EVENT_SCHEMA}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": EVENT_SCHEMA},
            BATCH: {"schema": BATCH_SCHEMA},
            "application/json": {"schema": {"anyOf": [EVENT_SCHEMA, BATCH_SCHEMA]}},
        },
    }
}

router = APIRouter(tags=["events"])


@router.post(
    "/v1/events",
    status_code=202,
    response_model=Receipt | Receipts,
    responses=documented(400, 409, 413, 415, 422),
    openapi_extra=BODY,
    summary="Send events",
)
async def post_events(request: Request, parts: PartsOf, actor: Sender) -> Any:
    """Returns one receipt for one CloudEvent; 409 if its ID was used with other content, 422 if it is not valid.

    An array returns 202 with a receipt per event, each processed alone. Sending again is always safe.
    """
    posted = read_posted(request, await body_from(request, actor), actor)
    parts.access.charge(actor, len(posted.events) - 1)
    results = await run_in_threadpool(_receive_all, parts, actor, posted)
    if parts.deliverer is not None:
        parts.deliverer.wake()
    if posted.batch:
        return Receipts(receipts=[receipt_of(result) for result in results])
    return _single(results[0])


def read_posted(request: Request, body: bytes, actor: Actor) -> Posted:
    """Returns the events of a request, within the limits."""
    try:
        posted = read_http(request.headers.items(), body)
    except NotAccepted as error:
        raise Refusal(415, str(error), headers={"Accept": f"{STRUCTURED}, {BATCH}, application/json"}) from None
    except NotReadable as error:
        raise Refusal(400, str(error)) from None
    if len(posted.events) > actor.limits.events:
        raise Refusal(413, f"too many events; at most {actor.limits.events} in a batch. Send smaller batches")
    for place, event in enumerate(posted.events):
        size = len(json.dumps(event)) if posted.batch else len(body)
        if size > MAX_EVENT:
            path = f"[{place}]" if posted.batch else "(event)"
            raise Refusal(413, "an event is too large", [FieldProblem(path=path, message=f"at most {MAX_EVENT} bytes")])
    return posted


def _receive_all(parts: Parts, actor: Actor, posted: Posted) -> list[ReceiptResult]:
    return [_receive_one(parts, actor, event, posted.batch) for event in posted.events]


def _receive_one(parts: Parts, actor: Actor, event: Mapping[str, Any], batch: bool) -> ReceiptResult:
    try:
        _may_speak_for(actor, event)
        result = receive(parts.db, parts.keys, event, parts.clock(), actor.name, allowed=actor.facilities)
    except NotAllowed as error:
        parts.record(actor.name, "POST /v1/events", "(event)", "denied")
        if not batch:
            raise Refusal(403, str(error)) from None
        result = ReceiptResult(None, None, Disposition.INVALID, (str(error),))
    counters.RECEIVED.labels(disposition=result.disposition.value).inc()
    return result


def _may_speak_for(actor: Actor, event: Mapping[str, Any]) -> None:
    """Refuses an event of another sender's source, whose IDs it must not use."""
    if actor.sources is not None and event.get("source") not in actor.sources:
        own = ", ".join(sorted(actor.sources))
        raise NotAllowed(f"source: this caller may not send events of this source; allowed sources: {own}")


def receipt_of(result: ReceiptResult) -> Receipt:
    """Returns the receipt of a result."""
    return Receipt(
        event_id=result.event_id,
        encounter_id=result.encounter_id,
        disposition=result.disposition,
        reasons=list(result.reasons),
        problems=[FieldProblem(path=problem.path, message=problem.message) for problem in result.problems],
        quarantine_id=result.quarantine_id,
    )


def _single(result: ReceiptResult) -> Receipt | JSONResponse:
    receipt = receipt_of(result)
    extra = {"receipt": receipt.model_dump(mode="json")}
    if result.disposition is Disposition.CONFLICT:
        raise Refusal(409, "an event with this source and ID was received before with different content", extra=extra)
    if result.disposition is Disposition.INVALID:
        raise Refusal(422, "the event is not valid by the event catalog", receipt.problems, extra=extra)
    return receipt
