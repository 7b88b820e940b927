"""Pages of the claim worklists: unbilled, held, unacknowledged, denied."""

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
    "unbilled": "services completed, claim not transmitted",
    "held": "held by an error until it is corrected",
    "unacknowledged": "transmitted, not accepted by the payer yet",
    "denied": "denied in full or in part; the last day is the appeal deadline",
}

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Billing = Annotated[Session, reader(Right.READ_CLAIMS)]


@router.get("/billing/{name}")
def billing(name: str, request: Request, parts: PartsHere, session: Billing, part: str = "") -> Response:
    """Returns a claim worklist; automatic refreshes are not audited again."""
    known: dict[str, Name] = {key: key for key in get_args(Name)}
    if name not in known:
        raise Refusal(404, "worklist not found")
    now = parts.clock()
    with parts.db.write() as store:
        found = worklist(store, known[name], session.actor, now)
        if part != "live":
            audit(store, session.actor.name, "worklist", name, "read", now)
    return page(
        request, "billing.html", list=found, lists=list(MEANINGS), meaning=MEANINGS[name], names=names_of(parts)
    )
