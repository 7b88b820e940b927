"""The pages: board, worklists and encounter; search and patient identity."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from app.api import reading
from app.api.parts import Parts
from app.api.problems import Refusal
from app.api.roles import Right
from app.board.cards import STAGES, Card, Views, cards, closed_rows, open_rows, rows_of_work
from app.board.encounter import whole
from app.board.event_entry import names_of, overridable
from app.board.forms import FORMS
from app.board.rights import BoardRight, may_on_board
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, on_record, page, reader, with_board_right
from app.board.worklists import WORKLISTS, cells, concerned, tasks
from store.emergency import outcome_of
from store.facts import identity_of
from store.vault import audit

PURPOSES = {
    "care": "care of this patient",
    "match": "matching patient and cells",
    "claim": "work on the claim",
    "audit": "response to an auditor",
}
REQUIRED = ("mrn", "name", "birth_date", "sex")

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Reading = Annotated[Session, reader(Right.READ_ENCOUNTERS)]
OneReading = Annotated[Session, reader(Right.READ_ENCOUNTERS, emergency=True)]
Sent = Annotated[str, Query(max_length=40)]


@router.get("/")
def board(request: Request, parts: PartsHere, session: Reading) -> Response:
    """Returns the open encounters by stage."""
    return _board_page(request, parts, session, {})


@router.post("/names")
def board_with_names(request: Request, parts: PartsHere, session: Reading, given: Posted) -> Response:
    """Returns the board with the patients' names, once, with a purpose, each one audited."""
    with_board_right(request, session, BoardRight.SEE_IDENTITY)
    purpose, now, people = purpose_of(given), parts.clock(), {}
    with parts.db.write() as store:
        for row in open_rows(store, session.actor):
            who = identity_of(store, parts.keys, row.encounter_id)
            audit(store, session.actor.name, f"show name ({purpose})", row.encounter_id, "shown", now)
            if who:
                name = who["patient"]["name"]
                people[row.encounter_id] = f"{name['family']}, {name['given']} · {who['patient']['birth_date']}"
    return _board_page(request, parts, session, people)


def _board_page(request: Request, parts: Parts, session: Session, people: dict[str, str]) -> Response:
    names = names_of(parts)
    on_record(request, session, "board list")
    with parts.db.read() as store:
        found = cards(store, open_rows(store, session.actor), _views(request), names, parts.clock())
    columns = [
        (stage.value, sorted((card for card in found if card.stage == stage.value), key=_urgency)) for stage in STAGES
    ]
    return page(request, "board.html", columns=columns, total=len(found), names=names, people=people, purposes=PURPOSES)


def _urgency(card: Card) -> tuple[int, int, datetime]:
    return card.urgency


def purpose_of(given: dict[str, str]) -> str:
    """Returns the purpose for which the patient's identity is shown.

    Raises:
        Refusal: 422 if it is not one of the known purposes.
    """
    purpose = given.get("purpose", "")
    if purpose not in PURPOSES:
        raise Refusal(422, "choose a purpose")
    return purpose


@router.get("/closed")
def closed(request: Request, parts: PartsHere, session: Reading) -> Response:
    """Returns the recently closed encounters."""
    names = names_of(parts)
    on_record(request, session, "board closed")
    with parts.db.read() as store:
        found = cards(store, closed_rows(store, session.actor), _views(request), names, parts.clock())
    return page(request, "closed.html", cards=found, names=names)


@router.get("/work/{key}")
def worklist(key: str, request: Request, parts: PartsHere, session: Reading) -> Response:
    """Returns a worklist."""
    shown = WORKLISTS.get(key)
    if shown is None:
        raise Refusal(404, "worklist not found")
    names, views, now = names_of(parts), _views(request), parts.clock()
    on_record(request, session, f"board work {key}")
    with parts.db.read() as store:
        rows = rows_of_work(store, session.actor, concerned(store))
        found = cards(store, rows, views, names, now)
        todo = tasks(
            store,
            shown,
            found,
            views.of(store, rows),
            now,
            all_facilities=session.actor.facilities is None,
            claims_shown=session.actor.may(Right.READ_CLAIMS),
        )
        under_way = [card for card in found if card.stage != "closed"]
        where = cells(store, under_way) if shown.custody and session.actor.may(Right.READ_TIMELINE) else []
    return page(request, "worklist.html", shown=shown, tasks=todo, cells=where, names=names)


@router.post("/find")
def find(request: Request, parts: PartsHere, session: OneReading, given: Posted) -> Response:
    """Redirects to the encounter of an order number, bag or other identifier, which is never part of a URL."""
    request.state.sought = given.get("reference", "").strip()
    found = reading.read_encounter(parts, session.actor, "find", request.state.sought)
    return RedirectResponse(f"/encounters/{found.encounter_id}", 303)


@router.get("/encounters/{encounter_id}")
def encounter(
    encounter_id: str, request: Request, parts: PartsHere, session: OneReading, sent: Sent = "", part: Sent = ""
) -> Response:
    """Returns an encounter page; automatic refreshes are audited at intervals."""
    request.state.sought = encounter_id
    if part:
        with parts.db.read() as store:
            found = reading.encounter_of(store, parts, session.actor, encounter_id)
            outcome = outcome_of(reading.emergency_access(store, parts, session.actor, found))
        on_record(request, session, "board", encounter_id, outcome)
    return _encounter_page(request, parts, session, encounter_id, audited=bool(part), sent=_done(sent))


@router.post("/encounters/{encounter_id}/identity")
def identity(encounter_id: str, request: Request, parts: PartsHere, session: OneReading, given: Posted) -> Response:
    """Returns the encounter page with the patient's identity, once, with a purpose, audited."""
    with_board_right(request, session, BoardRight.SEE_IDENTITY)
    purpose = purpose_of(given)
    with parts.db.write() as store:
        found = reading.encounter_of(store, parts, session.actor, encounter_id)
        who = identity_of(store, parts.keys, found.encounter_id)
        outcome = outcome_of(reading.emergency_access(store, parts, session.actor, found), "shown")
        audit(store, session.actor.name, f"show identity ({purpose})", found.encounter_id, outcome, parts.clock())
    shown = {name: who["patient"][name] for name in REQUIRED} if who else {}
    return _encounter_page(request, parts, session, found.encounter_id, audited=True, identity=shown)


def _encounter_page(
    request: Request, parts: Parts, session: Session, encounter_id: str, *, audited: bool, **context: Any
) -> Response:
    names = names_of(parts)
    if not audited:
        found = reading.read_encounter(parts, session.actor, "board", encounter_id)
    with parts.db.read() as store:
        found = reading.encounter_of(store, parts, session.actor, encounter_id)
        access = reading.emergency_access(store, parts, session.actor, found)
        shown = whole(store, parts, session.actor, found, names, emergency=access is not None)
    idle = set() if overridable(found) else {"override"}
    mine = [form for form in FORMS.values() if access is None and may_on_board(session.actor, form.right)]
    forms = [form for form in mine if form.subject is None and not form.opens and form.key not in idle]
    every: dict[str, Any] = {"identity": None, "sent": None, "access": access} | context
    return page(request, "encounter.html", shown=shown, forms=forms, names=names, purposes=PURPOSES, **every)


def _done(key: str) -> str | None:
    """Returns the title of the last entry."""
    return "Correction" if key == "correction" else FORMS[key].title if key in FORMS else None


def _views(request: Request) -> Views:
    """Returns the cached views of encounters, kept with the application."""
    state = request.app.state
    if not hasattr(state, "board_views"):
        state.board_views = Views()
    found: Views = state.board_views
    return found
