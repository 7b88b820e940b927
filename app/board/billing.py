"""The pages of the claim worklists: unbilled, held, unacknowledged, denied, with days and money."""

from __future__ import annotations

from typing import Annotated, Final, get_args

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.claim_worklists import Name, worklist
from app.api.problems import Refusal
from app.api.roles import Right
from app.board.event_entry import names_of
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, page, reader
from store.vault import audit

MEANINGS: Final[dict[str, str]] = {
    "unbilled": "services that ended and were not transmitted",
    "held": "stopped by an edit until its cause is mended",
    "unacknowledged": "transmitted, and no payer said that it has them",
    "denied": "refused wholly or in part; the last day is that of the appeal",
}

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Billing = Annotated[Session, reader(Right.READ_CLAIMS)]


@router.get("/billing/{name}")
def billing(name: str, request: Request, parts: PartsHere, session: Billing, part: str = "") -> Response:
    """A worklist of claims. Its refreshing part is not put on record again."""
    known: dict[str, Name] = {key: key for key in get_args(Name)}
    if name not in known:
        raise Refusal(404, "there is no such worklist")
    now = parts.clock()
    with parts.db.write() as store:
        found = worklist(store, known[name], session.actor, now)
        if part != "live":
            audit(store, session.actor.name, "worklist", name, "read", now)
    return page(
        request, "billing.html", list=found, lists=list(MEANINGS), meaning=MEANINGS[name], names=names_of(parts)
    )
