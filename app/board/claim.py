"""Shows the form of one claim."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.api import reading
from app.api.claims import Letter, Ordinal, current_row, drawn
from app.api.roles import Right
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, reader

router = APIRouter(route_class=BoardRoute, include_in_schema=False)


@router.get("/encounters/{encounter_id}/claims/{letter}/{ordinal}")
def form(
    encounter_id: str,
    letter: Letter,
    ordinal: Ordinal,
    parts: PartsHere,
    session: Annotated[Session, reader(Right.READ_CLAIMS, emergency=True)],
) -> Response:
    """Returns the UB-04 or CMS-1500 of the current version with the reason of every line; audited."""
    found = reading.read_encounter(parts, session.actor, "claim form", encounter_id)
    return drawn(parts, current_row(parts, found.encounter_id, letter, ordinal))
