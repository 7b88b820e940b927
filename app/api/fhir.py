"""`POST /v1/fhir`: FHIR subscription notifications, or one Appointment or Encounter."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from app.api import counters
from app.api.answers import FhirAnswer
from app.api.bodies import json_from
from app.api.events import receipt_of
from app.api.parts import PartsOf
from app.api.problems import FieldProblem, Refusal, documented
from app.api.senders import Sender
from intake.fhir.notification import NotFhir, Notification, read_notification
from intake.fhir.receiver import FhirDoor
from intake.inbox.receive import Disposition

FHIR_JSON = "application/fhir+json"
SCHEMA = {
    "type": "object",
    "description": "FHIR R4 notification Bundle, Appointment or Encounter",
    "properties": {"resourceType": {"enum": ["Bundle", "Appointment", "Encounter"]}},
    "required": ["resourceType"],
}
BODY = {"requestBody": {"required": True, "content": {FHIR_JSON: {"schema": SCHEMA}}}}

router = APIRouter(tags=["events"])


@router.post(
    "/v1/fhir", responses=documented(400, 413, 422, 501), openapi_extra=BODY, summary="Send FHIR R4 notifications"
)
async def post_fhir(request: Request, parts: PartsOf, actor: Sender) -> FhirAnswer:
    """Receives a notification; resources become events, and missing event numbers are returned and alerted."""
    if parts.mapping is None:
        raise Refusal(501, "this gateway has no mapping file, which FHIR requires; set CART_MAPPING_FILE")
    feed = parts.mapping.fhir_feed(actor.name)
    if feed is None:
        raise Refusal(422, "the mapping file has no fhir_feeds entry for this caller; add one with the caller's name")
    notification = _read(await json_from(request, actor))
    receiver = FhirDoor(parts.db, parts.keys, parts.mapping)
    receipts, missing = await run_in_threadpool(receiver.take, feed, notification, parts.clock(), actor.facilities)
    if any(receipt.disposition is Disposition.INVALID and receipt.quarantine_id is None for receipt in receipts):
        await run_in_threadpool(parts.record, actor.name, "POST /v1/fhir", "(event)", "denied")
    for receipt in receipts:
        counters.RECEIVED.labels(disposition=receipt.disposition.value).inc()
    if parts.deliverer is not None:
        parts.deliverer.wake()
    return FhirAnswer(kind=notification.kind, receipts=[receipt_of(one) for one in receipts], missing=missing)


def _read(body: Any) -> Notification:
    try:
        return read_notification(body)
    except NotFhir as error:
        raise Refusal(422, "not a valid notification", [FieldProblem(path="(body)", message=str(error))]) from None
