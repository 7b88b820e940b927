"""Sign-in, sign-out, style and script, and installation of the board in the gateway."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from app.api.parts import Parts, admitted, denied, logged_in, parts_of
from app.api.problems import Refusal
from app.api.roles import Right
from app.board import alerts, billing, claim, correcting, emergency, event_entry, packet_download, pages, quarantine
from app.board import session as sessions
from app.board.shell import ASSETS, FENCE, STAMP, BoardRoute, PartsHere, Posted, form_of, idle_text, local, page

SIGN_IN_AGAIN = "Unknown or expired token. Check the token and try again."
KINDS = {"board.css": "text/css; charset=utf-8", "board.js": "text/javascript; charset=utf-8"}

OF_A_FEED = "This token belongs to a feed. Sign in with a personal token."
EMERGENCY_ALONE = "The board needs another role beside emergency. Ask your administrator for the role."

KEPT = "kept."
"""Prefix for the fields of a form that was typed before the session expired."""

router = APIRouter(route_class=BoardRoute, include_in_schema=False)


@router.get("/sign-in")
def show_sign_in(request: Request, next: str = "/", why: str = "") -> Response:
    """Returns the sign-in page; it says so if the session ended without activity."""
    error = f"{idle_text(parts_of(request).idle)}." if why == "idle" else ""
    return page(request, "sign_in.html", error=error, next=local(next), kept={})


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Opens a session with a valid token of a caller who may read encounters."""
    given = await form_of(request)
    if not sessions.from_this_site(request):
        raise Refusal(403, "the form is not from this board; load the page again")
    return await run_in_threadpool(_opened, request, given)


def _opened(request: Request, given: dict[str, str]) -> Response:
    parts: Parts = parts_of(request)
    target = local(given.get("next", "/"))
    token = given.get("token", "").strip()
    kept = {name.removeprefix(KEPT): text for name, text in given.items() if name.startswith(KEPT)}
    try:
        login = logged_in(request, token)
    except Refusal as refusal:
        if refusal.status != 401:
            raise
        return page(request, "sign_in.html", 401, error=SIGN_IN_AGAIN, next=target, kept=kept)
    actor = admitted(parts, login.actor)
    if not actor.may(Right.READ_ENCOUNTERS):
        denied(request, 403, actor.name, "")
        return page(
            request,
            "sign_in.html",
            403,
            error=EMERGENCY_ALONE if actor.may(Right.EMERGENCY_ACCESS) else OF_A_FEED,
            next=target,
            kept=kept,
        )
    parts.record(actor.name, "sign in", "(board)", "opened")
    cookie = sessions.seal(parts.keys, login, parts.clock())
    response: Response = RedirectResponse(target, 303)
    if kept:
        request.state.session = sessions.read(parts.keys, parts.access, cookie, parts.clock(), parts.idle)
        response = page(request, "resume.html", next=target, kept=kept)
    sessions.set_cookie(response, request, cookie)
    return response


@router.post("/session")
def keep_session(_given: Posted) -> Response:
    """Keeps the session of a person who types or points on a page; the cookie is renewed as with every request."""
    return Response(status_code=204)


@router.post("/sign-out")
def sign_out(request: Request, parts: PartsHere, _given: Posted) -> Response:
    """Ends the session for every copy of its cookie."""
    sessions.end(parts.db, parts.keys, request.state.session, parts.clock())
    response = RedirectResponse("/sign-in", 303)
    sessions.clear_cookie(response, request)
    parts.record(request.state.session.actor.name, "sign out", "(board)", "closed")
    return response


@router.get("/board/{name}")
def asset(name: str, request: Request) -> Response:
    """Returns style or script, cached by the browser until it changes."""
    if name not in ASSETS:
        raise Refusal(404, "file not found")
    kept = "public, max-age=31536000, immutable" if request.query_params.get("v") == STAMP else "no-cache"
    return Response(ASSETS[name], media_type=KINDS[name], headers=FENCE | {"Cache-Control": kept})


def install(api: FastAPI) -> None:
    """Adds the board to the HTTP interface."""
    api.include_router(router)
    for room in (pages, claim, alerts, packet_download, event_entry, correcting, billing, quarantine, emergency):
        api.include_router(room.router)
