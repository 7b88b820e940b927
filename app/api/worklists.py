"""Worklists of the billers: claims that are not billed, held, not answered or denied, with days and money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from fastapi import APIRouter
from sqlmodel import Session, col, select

from activities.store.tables import ClaimVersion, Encounter, Transmission
from activities.store.vault import audit
from app.api.actors import Actor
from app.api.answers import Worklist, WorklistEntry
from app.api.parts import ClaimReader, PartsOf
from app.api.problems import documented
from domain.claims.lifecycle import State

Name = Literal["unbilled", "held", "unacknowledged", "denied"]

STATES: Final[Mapping[str, frozenset[str]]] = {
    "unbilled": frozenset({State.HELD, State.EMITTED, State.REJECTED}),
    "held": frozenset({State.HELD}),
    "unacknowledged": frozenset({State.TRANSMITTED}),
    "denied": frozenset({State.DENIED, State.PARTLY_PAID}),
}
WAITING, BILLER, CODER = "waiting", "biller", "coder"

router = APIRouter(tags=["claims"])


@router.get("/v1/worklists/{name}", responses=documented(422), summary="Claims that somebody must work on")
def get_worklist(name: Name, parts: PartsOf, actor: ClaimReader) -> Worklist:
    """The claims of a worklist, the longest waiting first.

    `unbilled`: services that ended and were not transmitted, with those that wait for documents; `held`: stopped by an
    edit; `unacknowledged`: transmitted and not answered; `denied`: refused wholly or in part.
    """
    now = parts.clock()
    with parts.db.write() as session:
        entries = sorted(
            _entries(session, name, actor, now), key=lambda entry: (-entry.days, entry.encounter_id, entry.claim)
        )
        audit(session, actor.name, "worklist", name, "read", now)
    return Worklist(
        name=name, as_of=now, claims=len(entries), total=sum((e.total for e in entries), Decimal(0)), entries=entries
    )


def _entries(session: Session, name: str, actor: Actor, now: datetime) -> Iterator[WorklistEntry]:
    seen = {row.encounter_id: row for row in session.exec(select(Encounter)) if actor.sees(row.facilities)}
    rows = session.exec(select(ClaimVersion).where(col(ClaimVersion.state).in_(STATES[name])))
    for row in rows:
        if row.encounter_id in seen:
            yield _entry(session, name, row, now)
    if name == "unbilled":
        for encounter in seen.values():
            yield from _waiting(encounter, now)


def _entry(session: Session, name: str, row: ClaimVersion, now: datetime) -> WorklistEntry:
    since, due = _since(session, name, row), _due(name, row)
    errors = [edit for edit in row.document.get("edits", ()) if edit["severity"] == "error"]
    money = Decimal(row.standing["refused"]) if name == "denied" and row.standing.get("refused") else row.total
    return WorklistEntry(
        encounter_id=row.encounter_id,
        claim=f"{row.letter}/{row.ordinal}",
        version=row.version,
        state=row.state,
        payer=row.payer,
        total=money,
        since=since,
        days=max((now.date() - since).days, 0),
        owner=errors[0]["owner"] if errors else BILLER,
        waits_for=[edit["message"] for edit in errors] or _next(row),
        due=due,
        days_left=(due - now.date()).days if due else None,
    )


def _since(session: Session, name: str, row: ClaimVersion) -> date:
    """The day from which the list counts: end of service, build, transmission, remittance."""
    if name == "unbilled":
        return date.fromisoformat(row.document["statement_through"])
    if name == "unacknowledged":
        sent = session.get(Transmission, (row.encounter_id, row.letter, row.ordinal, row.version))
        return (sent.created_at if sent else row.built_at).date()
    remitted = row.standing.get("remitted_at") if name == "denied" else None
    return datetime.fromisoformat(remitted).date() if remitted else row.built_at.date()


def _due(name: str, row: ClaimVersion) -> date | None:
    """The last day on which acting still helps: of the appeal, or of timely filing."""
    told = row.standing.get("appeal_by" if name == "denied" else "file_by")
    return date.fromisoformat(told) if told else None


def _next(row: ClaimVersion) -> list[str]:
    told = row.standing.get("next")
    return [told] if told else []


def _waiting(encounter: Encounter, now: datetime) -> Iterator[WorklistEntry]:
    """Claims that have no version yet, for their documents are not all here."""
    view: Mapping[str, Any] = encounter.view
    for claim, amounts in zip(view.get("claims_waiting", ()), view.get("unbilled", ()), strict=False):
        through = date.fromisoformat(amounts["through"])
        if through > now.date():
            continue
        yield WorklistEntry(
            encounter_id=encounter.encounter_id,
            claim=claim["claim"],
            version=None,
            state=WAITING,
            payer=encounter.payer,
            total=Decimal(amounts["total"]),
            since=through,
            days=(now.date() - through).days,
            owner=CODER,
            waits_for=claim["waiting_for"],
            due=None,
            days_left=None,
        )
