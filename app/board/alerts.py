"""The page of alerts: unresolved alerts by cause, and undelivered alert messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from app.api.alerts import acknowledge, unresolved_groups
from app.api.answers import Acknowledgement
from app.api.deliveries import LARGEST_PAGE, try_again
from app.api.problems import Refusal
from app.api.roles import Right
from app.board.event_entry import names_of
from app.board.session import Session
from app.board.shell import BoardRoute, PartsHere, Posted, local, on_record, page, reader
from store.queries.alerts import alert_deliveries

router = APIRouter(route_class=BoardRoute, include_in_schema=False)

Reading = Annotated[Session, reader(Right.READ_ALERTS)]
Taking = Annotated[Session, reader(Right.ACKNOWLEDGE_ALERTS)]

PAGE = "/alerts"


@router.get(PAGE)
def by_cause(request: Request, parts: PartsHere, session: Reading) -> Response:
    """Returns every cause, the most severe first; messages only for callers of all facilities."""
    on_record(request, session, "board alerts")
    with parts.db.read() as store:
        groups = unresolved_groups(store, session.actor)
        all_facilities = session.actor.facilities is None
        states = ("dead", "waiting") if all_facilities else ()
        lost = [one for state in states for one in alert_deliveries(store, state, LARGEST_PAGE)]
    undelivered = [one for one in lost if one.state == "dead" or one.attempts]
    return page(request, "alerts.html", groups=groups, undelivered=undelivered, names=names_of(parts))


@router.post("/alerts/acknowledge")
def acknowledge_cause(parts: PartsHere, session: Taking, given: Posted) -> Response:
    """Acknowledges every open alert of a cause for the caller's roles."""
    with parts.db.read() as store:
        groups = {group.cause: group for group in unresolved_groups(store, session.actor)}
    group = groups.get(given.get("cause", ""))
    if group is None:
        raise Refusal(404, "no open alert has this cause any more; reload the page")
    body = Acknowledgement(by=role_names(session), note=note_of(given))
    for alert in group.alerts:
        if alert.state == "open":
            acknowledge(alert.alert_id, body, parts, session.actor)
    return RedirectResponse(PAGE, 303)


@router.post("/alerts/{alert_id}/acknowledge")
def acknowledge_alert(alert_id: str, parts: PartsHere, session: Taking, given: Posted) -> Response:
    """Acknowledges an alert for the caller's roles."""
    acknowledge(alert_id, Acknowledgement(by=role_names(session), note=note_of(given)), parts, session.actor)
    return RedirectResponse(local(given.get("back", "/")), 303)


@router.post("/alerts/deliveries/{delivery_id}/retry")
def retry(delivery_id: str, parts: PartsHere, session: Taking, given: Posted) -> Response:
    """Sends an alert message again."""
    try_again(parts, session.actor, delivery_id)
    return RedirectResponse(PAGE, 303)


def role_names(session: Session) -> str:
    return ", ".join(sorted(role.value for role in session.actor.roles))


def note_of(given: dict[str, str]) -> str | None:
    return given.get("note", "").strip()[:2000] or None
