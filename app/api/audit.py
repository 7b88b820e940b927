"""`GET /v1/audit`: who looked at what, changed what, and was turned away. For whoever answers for privacy."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from app.api import reading
from app.api.actors import Actor
from app.api.answers import AuditAnswer, AuditPage
from app.api.parts import AuditReader, PartsOf
from app.api.problems import Refusal, documented
from app.api.query_params import one_of
from intake.inbox.receive import Disposition
from store.engine import Session
from store.queries.audit import AuditFilter, audit_entries, encounter_of_target
from store.tables import AuditEntry
from store.vault import PSEUDONYM_PREFIX, audit, person_of

PAGE = 200
LARGEST_PAGE = 1000
LARGEST_SEARCH = 20_000
"""Entries looked at for a caller who may see some facilities only, before the page ends short."""

router = APIRouter(tags=["audit"])

OUTCOMES = (
    *("read", "shown", "denied", "refused", "unknown", "opened", "closed", "made"),
    *("acknowledged", "waiting", "merged", "erased", "resealed", "answered", "unreachable", "unreadable"),
    *("released", "unmapped", "aside"),
    *(disposition.value for disposition in Disposition),
)
"""First words of what may stand as the outcome of an entry, with dispositions and the states of the quarantine."""

Action = Annotated[
    str | None, Query(description="what was done, or its beginning: show identity, POST /v1/events", max_length=120)
]
Outcome = Annotated[
    str | None,
    Query(
        description=f"what it came to, or its first word: {', '.join(OUTCOMES)}",
        max_length=120,
        json_schema_extra={"pattern": f"^({'|'.join(OUTCOMES)})( [ -~]*)?$"},
    ),
]


@router.get("/v1/audit", responses=documented(404, 409, 422), summary="What was read, changed and denied")
def list_audit(
    parts: PartsOf,
    actor: AuditReader,
    encounter: Annotated[str | None, Query(description="id or any identifier; its alerts and events too")] = None,
    caller: Annotated[str | None, Query(description="name or pseudonym of who did it", max_length=120)] = None,
    action: Action = None,
    outcome: Outcome = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    after: Annotated[str | None, Query(description="`next` of the page before", max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
) -> AuditPage:
    """Entries of the audit, the newest first. That they were read is an entry, too.

    A caller with facilities sees what concerns an encounter of theirs. A person's pseudonym is opened from the vault.
    """
    about = reading.read_encounter(parts, actor, "audit", encounter).encounter_id if encounter else None
    if outcome is not None:
        one_of("outcome", outcome.split(" ")[0], OUTCOMES)
    with parts.db.write() as session:
        last = _last(session, after) if after else None
        wanted = AuditFilter(about, caller, action, outcome, since, until, last)
        rows = _page(session, actor, wanted, limit + 1)
        if not about:
            audit(session, actor.name, "audit", "(all)", "read", parts.clock())
        people = {name: person_of(session, parts.keys, name) for name in _pseudonyms(rows)}
    entries = [AuditAnswer(**row.model_dump(), person=people.get(row.actor)) for row in rows[:limit]]
    return AuditPage(entries=entries, next=entries[-1].audit_id if len(rows) > limit else None)


def _last(session: Session, after: str) -> AuditEntry:
    """The entry that the page before ended with."""
    last = session.get(AuditEntry, after)
    if last is None:
        raise Refusal(404, "after is not the `next` of a page")
    return last


def _page(session: Session, actor: Actor, wanted: AuditFilter, size: int) -> list[AuditEntry]:
    if actor.facilities is None:
        return list(audit_entries(session, wanted, size))
    entries = audit_entries(session, wanted, LARGEST_SEARCH)
    return list(islice((row for row in entries if _concerns(session, actor, row.target)), size))


def _concerns(session: Session, actor: Actor, target: str) -> bool:
    encounter = encounter_of_target(session, target)
    return encounter is not None and actor.sees(encounter.facilities)


def _pseudonyms(rows: list[AuditEntry]) -> set[str]:
    return {row.actor for row in rows if row.actor.startswith(PSEUDONYM_PREFIX)}
