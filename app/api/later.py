"""What the contract names and a later release brings: refused plainly, never faked."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from app.api.parts import Caller
from app.api.problems import ProblemDetails, Refusal, documented

router = APIRouter(tags=["not built yet"])


@router.post(
    "/v1/fhir",
    responses=documented(501),
    status_code=501,
    response_model=ProblemDetails,
    summary="FHIR R4 notifications",
)
def post_fhir(_actor: Caller) -> NoReturn:
    raise Refusal(501, "FHIR notifications are not taken in yet; send CloudEvents to /v1/events")
