"""`GET /v1/audit`: who read, changed or was denied what, for the privacy officer."""

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
"""Entries searched for a caller with some facilities only, before the page ends short."""

router = APIRouter(tags=["audit"])

OUTCOMES = (
    *("read", "shown", "denied", "refused", "unknown", "opened", "closed", "made"),
    *("acknowledged", "waiting", "merged", "erased", "resealed", "reviewed", "answered", "unreachable", "unreadable"),
    *("released", "unmapped", "aside"),
    *(disposition.value for disposition in Disposition),
)
"""First words of possible outcomes, with dispositions and states of the quarantine."""

Action = Annotated[
    str | None,
    Query(description="Action or its first words, for example show identity, POST /v1/events", max_length=120),
]
Outcome = Annotated[
    str | None,
    Query(
        description=f"Outcome or its first word: {', '.join(OUTCOMES)}",
        max_length=120,
        json_schema_extra={"pattern": f"^({'|'.join(OUTCOMES)})( [ -~]*)?$"},
    ),
]


@router.get("/v1/audit", responses=documented(404, 409, 422), summary="List audit entries")
def list_audit(
    parts: PartsOf,
    actor: AuditReader,
    encounter: Annotated[
        str | None, Query(description="Encounter ID or any identifier; includes its alerts and events")
    ] = None,
    caller: Annotated[str | None, Query(description="Name or pseudonym of the caller", max_length=120)] = None,
    action: Action = None,
    outcome: Outcome = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    after: Annotated[str | None, Query(description="`next` of the previous page", max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
) -> AuditPage:
    """Returns audit entries, the newest first. This query is recorded as well.

    A caller with some facilities sees entries of encounters there. The person of a pseudonym is read from the vault.
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
    entries = [
        AuditAnswer(**row.model_dump(exclude={"sealed_in"}), person=people.get(row.actor)) for row in rows[:limit]
    ]
    return AuditPage(entries=entries, next=entries[-1].audit_id if len(rows) > limit else None)


def _last(session: Session, after: str) -> AuditEntry:
    """Returns a condition for these words, alone or followed by more."""
    last = session.get(AuditEntry, after)
    if last is None:
        raise Refusal(404, "`after` must be the `next` of a page")
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
