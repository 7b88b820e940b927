"""The page of the message quarantine: entries with reasons, to replay or close."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from app.api.answers import Closing
from app.api.parts import require_all_facilities
from app.api.problems import Refusal
from app.api.quarantine import close_entry, replay_entry
from app.api.roles import Right
from app.board.alerts import note_of, role_names
from app.board.event_entry import names_of
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, on_record, page, reader
from intake.inbox import quarantine as store
from intake.inbox.closing import CLOSABLE
from store.queries.quarantine import entries_by_state, last_resolved, oldest_entries

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Reading = Annotated[Session, reader(Right.READ_QUARANTINE)]
Deciding = Annotated[Session, reader(Right.REPLAY_QUARANTINE)]

PAGE = "/quarantine"
MOST_SHOWN = 200
LAST_CLOSED = 20
WHY: Final = {
    "corrected": "sent again, corrected",
    "duplicate": "duplicate of another message",
    "not_ours": "not a patient of this program",
    "other": "other (see note)",
}


@router.get(PAGE)
def entries(request: Request, parts: PartsHere, session: Reading) -> Response:
    """Returns entries that need work, the oldest first; the number of retained messages; recently closed entries."""
    require_all_facilities(session.actor, "entries of the quarantine")
    on_record(request, session, "board quarantine")
    with parts.db.read() as here:
        oldest = oldest_entries(here, CLOSABLE, MOST_SHOWN)
        closed = last_resolved(here, store.CLOSED, LAST_CLOSED)
        counts = entries_by_state(here)
    return page(
        request,
        "quarantine.html",
        oldest=oldest,
        total=sum(counts.get(state, 0) for state in CLOSABLE),
        retained=counts.get(store.ASIDE, 0),
        closed=closed,
        why=WHY,
        names=names_of(parts),
    )


@router.post(PAGE + "/{quarantine_id}/replay")
def again(quarantine_id: str, parts: PartsHere, session: Deciding, _given: Posted) -> Response:
    """Replays an entry; remaining reasons are shown on the page."""
    replay_entry(quarantine_id, parts, session.actor)
    return RedirectResponse(PAGE, 303)


@router.post(PAGE + "/{quarantine_id}/close")
def close(quarantine_id: str, parts: PartsHere, session: Deciding, given: Posted) -> Response:
    """Closes an entry for the caller's roles."""
    try:
        closing = Closing.model_validate(
            {"by": role_names(session), "because": given.get("because", ""), "note": note_of(given)}
        )
    except ValueError:
        raise Refusal(422, "choose a reason; for another reason write a note") from None
    close_entry(quarantine_id, closing, parts, session.actor)
    return RedirectResponse(PAGE, 303)
