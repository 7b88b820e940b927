"""`POST /v1/preflight`: checks a referral and stores nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.api.bodies import json_from
from app.api.parts import PartsOf, Preflighter
from app.api.problems import FieldProblem, Refusal, documented
from domain.encounter.facts import fold
from domain.events import InvalidEvent
from domain.events.access import ReferralReceived
from domain.preflight import Preflight, preflight, read_referral
from store.facts import holder_facts

router = APIRouter(tags=["preflight"])


SCHEMA = {
    "type": "object",
    "description": "Data of a referral, or the whole event (cart.referral.received in docs/contract/events)",
}
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}}


async def _posted(request: Request, actor: Preflighter) -> Any:
    return await json_from(request, actor)


@router.post(
    "/v1/preflight",
    responses=documented(400, 413, 422, 501),
    openapi_extra=BODY,
    summary="Check a referral",
)
def post_preflight(body: Annotated[Any, Depends(_posted)], parts: PartsOf) -> Preflight:
    """Returns gates, missing documents, denial risks, planned dates and costs for a referral; stores nothing."""
    if parts.site is None or parts.rules is None:
        raise Refusal(501, "this gateway has no site file or rulebook; set CART_SITE_FILE")
    referral = _referral(body)
    with parts.db.read() as session:
        holders = fold(holder_facts(session, parts.keys)).all
    return preflight(referral, parts.site, parts.rules(), parts.clock(), holders)


def _referral(body: object) -> ReferralReceived:
    try:
        return read_referral(body)
    except InvalidEvent as error:
        problems = [FieldProblem(path=problem.path, message=problem.message) for problem in error.problems]
        raise Refusal(422, "not valid referral data", problems) from None
