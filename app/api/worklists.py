"""Claim worklists over HTTP."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.answers import Worklist
from app.api.claim_worklists import Name, worklist
from app.api.parts import ClaimReader, PartsOf
from app.api.problems import documented
from store.vault import audit

router = APIRouter(tags=["claims"])


@router.get("/v1/worklists/{name}", responses=documented(422), summary="List claims that need work")
def get_worklist(name: Name, parts: PartsOf, actor: ClaimReader) -> Worklist:
    """Returns the claims of a worklist, the longest waiting first.

    `unbilled`: services completed, claim not transmitted, including claims that wait for documents; `held`: held by an edit;
    `unacknowledged`: transmitted, not accepted by the payer yet; `denied`: denied in full or in part.
    """
    now = parts.clock()
    with parts.db.write() as session:
        found = worklist(session, name, actor, now)
        audit(session, actor.name, "worklist", name, "read", now)
    return found
