"""Opens an encounter in an emergency: the form on "Not found", the same whether the encounter exists or not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from starlette.responses import Response

from app.api import emergency
from app.api.answers import EmergencyReason
from app.api.roles import Right
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, page, reader

router = APIRouter(route_class=BoardRoute, include_in_schema=False)


@router.post("/emergency")
def open_encounter(
    request: Request, parts: PartsHere, session: Annotated[Session, reader(Right.EMERGENCY_ACCESS)], given: Posted
) -> Response:
    """Opens the encounter of the form and leads to it; every read of it is audited under this access."""
    reference, typed = given.get("reference", "").strip()[:200], given.get("reason", "")
    request.state.sought = reference
    try:
        reason = EmergencyReason(reason=typed).reason
    except ValidationError:
        error = "Give a reason of 10 to 500 characters."
        return page(
            request, "emergency.html", 422, title="Emergency access", sought=reference, typed=typed, error=error
        )
    access = emergency.opened(parts, session.actor, reference, reason)
    return RedirectResponse(f"/encounters/{access.encounter_id}", 303)
