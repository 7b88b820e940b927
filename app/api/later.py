"""What the contract names and a later release brings: refused plainly, never faked."""

from __future__ import annotations

from typing import Annotated, NoReturn

from fastapi import APIRouter

from app.api.access import Actor
from app.api.parts import allowed
from app.api.problems import ProblemDetails, Refusal, documented
from app.api.roles import Right

router = APIRouter(tags=["not built yet"])


@router.post(
    "/v1/fhir",
    responses=documented(501),
    status_code=501,
    response_model=ProblemDetails,
    summary="FHIR R4 notifications",
)
def post_fhir(_actor: Annotated[Actor, allowed(Right.SEND_EVENTS)]) -> NoReturn:
    raise Refusal(501, "FHIR notifications are not taken in yet; send CloudEvents to /v1/events")
