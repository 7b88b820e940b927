"""The form of one claim, drawn for people who check by eye, and its file for those who may read it."""

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
    session: Annotated[Session, reader(Right.READ_CLAIMS)],
) -> Response:
    """The UB-04 or CMS-1500 of the version that counts, with the reason of every line; that it was read is on record."""
    found = reading.read_encounter(parts, session.actor, "claim form", encounter_id)
    return drawn(parts, current_row(parts, found.encounter_id, letter, ordinal))
