"""Downloads evidence packets from the encounter page: with a purpose, audited."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.api import packets
from app.api.claims import Letter, Ordinal
from app.api.roles import Right
from app.board.pages import purpose_of
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, reader

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Packing = Annotated[Session, reader(Right.MAKE_PACKETS)]


@router.post("/encounters/{encounter_id}/packet")
def packet(encounter_id: str, parts: PartsHere, session: Packing, given: Posted) -> Response:
    """Returns the packet of the encounter as PDF, with the patient's identity if the role may see it."""
    return packets.answer(parts, session.actor, encounter_id, None, True, True, purpose_of(given))


@router.post("/encounters/{encounter_id}/claims/{letter}/{ordinal}/packet")
def denial_packet(
    encounter_id: str, letter: Letter, ordinal: Ordinal, parts: PartsHere, session: Packing, given: Posted
) -> Response:
    """Returns the packet for the denial of a claim."""
    return packets.answer(parts, session.actor, encounter_id, (letter, ordinal), True, True, purpose_of(given))
