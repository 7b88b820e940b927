"""Worklists of the billers over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.answers import Worklist
from app.api.claim_worklists import Name, worklist
from app.api.parts import ClaimReader, PartsOf
from app.api.problems import documented
from store.vault import audit

router = APIRouter(tags=["claims"])


@router.get("/v1/worklists/{name}", responses=documented(422), summary="Claims that somebody must work on")
def get_worklist(name: Name, parts: PartsOf, actor: ClaimReader) -> Worklist:
    """The claims of a worklist, the longest waiting first.

    `unbilled`: services that ended and were not transmitted, with those that wait for documents; `held`: stopped by an
    edit; `unacknowledged`: transmitted, and no payer said that it has them; `denied`: refused wholly or in part.
    """
    now = parts.clock()
    with parts.db.write() as session:
        found = worklist(session, name, actor, now)
        audit(session, actor.name, "worklist", name, "read", now)
    return found
