"""`/v1/fhir`: FHIR subscription notifications or one resource; `PUT` and `DELETE` as an R4 rest-hook sends them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app.api import counters
from app.api.actors import Actor
from app.api.answers import FhirAnswer
from app.api.bodies import body_from, json_from
from app.api.events import receipt_of
from app.api.fhir_outcomes import FHIR_JSON, answered, wants_fhir
from app.api.parts import Parts, PartsOf
from app.api.problems import FieldProblem, Refusal, documented
from app.api.senders import Sender
from intake.fhir.notification import NAMED as NAMED
from intake.fhir.notification import RESOURCES as RESOURCES
from intake.fhir.notification import NotFhir, Notification, deletion, read_notification, reference_of
from intake.fhir.receiver import FhirReceiver
from intake.inbox.receive import Disposition
from intake.site_mapping import FhirFeed

TYPES = ("Bundle", *RESOURCES, *NAMED)
SCHEMA = {
    "type": "object",
    "description": "a notification Bundle, an Appointment or an Encounter of FHIR R4, R4B or R5, or a resource they refer to",
    "properties": {"resourceType": {"enum": list(TYPES)}},
    "required": ["resourceType"],
}
RESOURCE = {"type": "object", "description": "a FHIR resource", "properties": {"resourceType": {"type": "string"}}}
BODY = {"requestBody": {"required": True, "content": {FHIR_JSON: {"schema": SCHEMA}}}}
MEDPLUM_DELETED = "x-medplum-deleted-resource"
"""A rest-hook of Medplum reports a deletion by this header and an empty body (its subscription extensions)."""

ResourceType = Annotated[
    Literal["Appointment", "Encounter", "Patient", "Location", "HealthcareService", "ServiceRequest"],
    Path(alias="type"),
]
ResourceId = Annotated[str, Path(alias="id", pattern=r"^[A-Za-z0-9.-]{1,64}$")]
Format = Annotated[str | None, Query(alias="_format", description="as FHIR clients send it; the answer is JSON")]

router = APIRouter(tags=["events"])


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of these addresses: receipts as JSON, and resources for a client that accepts FHIR."""
    every = documented(400, 413, *statuses)
    for answer in every.values():
        answer["content"] = answer["content"] | {FHIR_JSON: {"schema": RESOURCE}}
    return {200: {"model": FhirAnswer, "content": {FHIR_JSON: {"schema": RESOURCE}}}, **every}


@router.post("/v1/fhir", responses=_documented(422, 501), openapi_extra=BODY, summary="Send FHIR notifications")
async def post_fhir(request: Request, parts: PartsOf, actor: Sender, _format: Format = None) -> Response:
    """Receives a notification; resources become events, and missing event numbers are returned and alerted."""
    feed = _feed(parts, actor)
    body = await json_from(request, actor)
    stated = request.headers.get(MEDPLUM_DELETED)
    gone = reference_of(stated, (*RESOURCES, *NAMED)) if stated and body == {} else None
    return await _taken(request, parts, actor, feed, deletion(*gone) if gone else _read(body))


@router.put(
    "/v1/fhir/{type}/{id}",
    responses=_documented(409, 422, 501),
    openapi_extra=BODY,
    summary="Send a FHIR resource",
)
async def put_fhir(
    request: Request,
    parts: PartsOf,
    actor: Sender,
    resource_type: ResourceType,
    resource_id: ResourceId,
    _format: Format = None,
) -> Response:
    """Receives one resource of a rest-hook. Patients and locations are remembered for resources that refer to them."""
    feed = _feed(parts, actor)
    body = await json_from(request, actor)
    if not isinstance(body, dict) or body.get("resourceType") != resource_type:
        raise Refusal(409, "the body is no resource of the type that the address names")
    if body.setdefault("id", resource_id) != resource_id:
        raise Refusal(409, "the resource has another id than the address")
    return await _taken(request, parts, actor, feed, _read(body), resource=body)


@router.delete(
    "/v1/fhir/{type}/{id}",
    responses=_documented(422, 501),
    summary="Report a FHIR resource as deleted",
)
async def delete_fhir(
    request: Request,
    parts: PartsOf,
    actor: Sender,
    resource_type: ResourceType,
    resource_id: ResourceId,
    _format: Format = None,
) -> Response:
    """Receives a deletion. A known booking or stay is quarantined until a person decides."""
    feed = _feed(parts, actor)
    await body_from(request, actor)
    return await _taken(request, parts, actor, feed, deletion(resource_type, resource_id))


def _feed(parts: Parts, actor: Actor) -> FhirFeed:
    if parts.mapping is None:
        raise Refusal(501, "this gateway has no mapping file, which FHIR requires; set CART_MAPPING_FILE")
    feed = parts.mapping.fhir_feed(actor.name)
    if feed is None:
        raise Refusal(422, "the mapping file has no fhir_feeds entry for this caller; add one with the caller's name")
    return feed


async def _taken(
    request: Request, parts: Parts, actor: Actor, feed: FhirFeed, notification: Notification, resource: Any = None
) -> Response:
    assert parts.mapping is not None
    receiver = FhirReceiver(parts.db, parts.keys, parts.mapping)
    receipts, missing = await run_in_threadpool(receiver.take, feed, notification, parts.clock(), actor.facilities)
    if any(receipt.disposition is Disposition.INVALID and receipt.quarantine_id is None for receipt in receipts):
        await run_in_threadpool(parts.record, actor.name, f"{request.method} /v1/fhir", "(event)", "denied")
    for receipt in receipts:
        counters.RECEIVED.labels(disposition=receipt.disposition.value).inc()
    if parts.deliverer is not None:
        parts.deliverer.wake()
    if wants_fhir(request):
        return answered(request, receipts, missing, resource)
    answer = FhirAnswer(kind=notification.kind, receipts=[receipt_of(one) for one in receipts], missing=missing)
    return JSONResponse(answer.model_dump(mode="json"))


def _read(body: Any) -> Notification:
    try:
        return read_notification(body)
    except NotFhir as error:
        raise Refusal(422, "not a valid notification", [FieldProblem(path="(body)", message=str(error))]) from None
