"""Shared by every page: templates, security headers, the signed-in caller, error pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote

import jinja2
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.responses import Response

from app.api.parts import Parts, admitted, denied, in_emergency, parts_of, put_on_record
from app.api.problems import TITLES, Refusal, of_database
from app.api.roles import Right
from app.board import session as sessions
from app.board.fields import error_at
from app.board.rights import BoardRight, may_on_board
from app.board.session import Session
from app.board.wording import words
from store.engine import DatabaseError

MAX_FORM = 64 * 1024
STATIC = files("app.board") / "static"
ASSETS = {name: (STATIC / name).read_bytes() for name in ("board.css", "board.js")}
STAMP = hashlib.sha256(b"".join(ASSETS.values())).hexdigest()[:12]
FENCE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


SESSION_OVER = "Your session has expired. Sign in to continue"
TYPED_KEPT = "; the text you typed is kept on this page"


class NotSignedIn(Exception):
    """The page requires a session."""


class WasIdle(NotSignedIn):
    """The session ended, because no one acted for the idle time."""


class StaleForm(Refusal):
    """A form of this board with the secret of an earlier session; what was typed is not lost."""

    def __init__(self, detail: str, target: str, kept: dict[str, str]) -> None:
        super().__init__(403, detail)
        self.target, self.kept = target, kept


def idle_text(idle: timedelta) -> str:
    """Returns what the sign-in page says after the idle time."""
    minutes = idle / timedelta(minutes=1)
    span = f"{minutes:g} minute{'' if minutes == 1 else 's'}" if minutes >= 1 else "a short time"
    return f"You were signed out after {span} without activity. Sign in to continue"


def headed(key: object) -> str:
    text = words(key)
    return text[:1].upper() + text[1:]


def day(value: date | datetime | str | None) -> str:
    """Returns a date as YYYY-MM-DD."""
    if value is None or value == "":
        return "–"
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{moment:%Y-%m-%d}"


def moment(value: datetime | str | None) -> str:
    """Returns a time in its own zone with its UTC offset."""
    if value is None or value == "":
        return "–"
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    offset = "UTC" if found.utcoffset() == UTC.utcoffset(None) else f"{found:%z}"
    return f"{found:%Y-%m-%d %H:%M} {offset}"


def dollars(amount: Decimal) -> str:
    """Returns an amount in US dollars with cents."""
    return f"${amount:,.2f}"


def short(identifier: str) -> str:
    """Returns the end of an opaque ID, enough to distinguish two on a page."""
    return identifier[-6:]


def environment() -> jinja2.Environment:
    """Returns a template environment that escapes all values and rejects undefined names."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("app.board", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"words": words, "headed": headed, "day": day, "moment": moment, "short": short, "dollars": dollars}
    made.globals |= {
        "stamp": STAMP,
        "error_at": error_at,
        "BoardRight": BoardRight,
        "Right": Right,
        "may_on_board": may_on_board,
    }
    return made


TEMPLATES = environment()


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Returns a page, or only its live part if requested."""
    session: Session | None = getattr(request.state, "session", None)
    live = request.query_params.get("part") == "live"
    body = TEMPLATES.get_template(template).render(
        session=session,
        actor=session.actor if session else None,
        csrf=session.csrf if session else "",
        layout="live.html" if live else "layout.html",
        here=request.url.path,
        now=parts_of(request).clock(),
        idle=int(parts_of(request).idle.total_seconds()),
        **context,
    )
    return HTMLResponse(body, status)


class BoardRoute(APIRoute):
    """A route for pages: security headers, error pages, redirect to sign-in without a session."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except NotSignedIn as over:
                response = await _to_sign_in(request, idle=isinstance(over, WasIdle))
            except Refusal as refusal:
                await run_in_threadpool(put_on_record, request, refusal)
                response = refused(request, refusal)
            except RequestValidationError:
                response = refused(request, Refusal(404, "page not found"))
            except DatabaseError as error:
                response = refused(request, of_database(request, error))
            for name, value in FENCE.items():
                response.headers.setdefault(name, value)
            _renew(request, response)
            return response

        return answer


def _renew(request: Request, response: Response) -> None:
    """Notes in the cookie that a person acted; automatic refreshes do not count."""
    parts, session = parts_of(request), getattr(request.state, "session", None)
    forged = request.method != "GET" and response.status_code == 403
    if session is None or request.query_params.get("part") or "set-cookie" in response.headers or forged:
        return
    now = parts.clock()
    if sessions.is_due(session, now, parts.idle):
        sessions.set_cookie(response, request, sessions.renewed(parts.keys, session, now), session.until - now)


def refused(request: Request, refusal: Refusal) -> Response:
    """Returns a refusal as a page with the next step."""
    if isinstance(refusal, StaleForm):
        return page(request, "resume.html", 403, next=refusal.target, kept=refusal.kept)
    sought = getattr(request.state, "sought", None)
    actor = request.state.session.actor if getattr(request.state, "session", None) else None
    if refusal.status != 404 or actor is None or not actor.may(Right.EMERGENCY_ACCESS):
        sought = None
    title = "Not found" if refusal.status == 404 else TITLES.get(refusal.status, "Error")
    response = page(
        request, "refused.html", refusal.status, title=title, detail=str(refusal), code=refusal.status, sought=sought
    )
    response.headers.update(refusal.headers)
    return response


async def _to_sign_in(request: Request, *, idle: bool) -> Response:
    """Returns the sign-in page; the typed fields of a form are kept in that page only."""
    if request.method == "POST" and not request.url.path.endswith("/scan") and sessions.from_this_site(request):
        kept = await _typed(request)
        if "form_id" in kept:
            why = idle_text(parts_of(request).idle) if idle else SESSION_OVER
            return page(request, "sign_in.html", 401, error=f"{why}{TYPED_KEPT}.", next=request.url.path, kept=kept)
    if request.method != "GET" or request.query_params.get("part"):
        return refused(request, Refusal(401, "your session has expired; sign in again"))
    target = request.url.path
    asked = ([] if target == "/" else [f"next={quote(target)}"]) + (["why=idle"] if idle else [])
    return RedirectResponse("?".join(filter(None, ("/sign-in", "&".join(asked)))), 303)


async def _typed(request: Request) -> dict[str, str]:
    given = getattr(request.state, "given", None)
    try:
        typed: dict[str, str] = given if given is not None else await form_of(request)
    except Refusal:
        return {}
    return {name: text for name, text in typed.items() if name != "csrf"}


def signed_in(request: Request) -> Session:
    """Returns the session of a request; its request limit is that of the token."""
    parts = parts_of(request)
    try:
        session = sessions.read(
            parts.keys, parts.access, request.cookies.get(sessions.COOKIE), parts.clock(), parts.idle
        )
    except sessions.Idle:
        raise WasIdle from None
    if session is None or sessions.ended(parts.db, parts.keys, session):
        raise NotSignedIn
    request.state.session = session
    admitted(parts, session.actor)
    return session


def reader(right: Right, *, emergency: bool = False) -> Any:
    """Returns a dependency: the session of a caller whose role has the right.

    Args:
        emergency: the page is of one encounter; a caller with emergency access to it needs no other right.
    """

    def check(request: Request, session: Annotated[Session, Depends(signed_in)]) -> Session:
        if emergency:
            session = replace(session, actor=in_emergency(session.actor, right))
        if not (session.actor.may(right) or session.actor.emergency):
            raise denied(
                request,
                403,
                session.actor.name,
                f'this page requires the right "{words(right.value)}"; ask your administrator for the role',
            )
        return session

    return Depends(check)


def with_board_right(request: Request, session: Session, right: BoardRight) -> None:
    """Refuses a caller whose roles do not have the right; the attempt is audited."""
    if not may_on_board(session.actor, right):
        raise denied(
            request,
            403,
            session.actor.name,
            f'this requires the right "{words(right.value)}"; ask your administrator for the role',
        )


def on_record(request: Request, session: Session, action: str, target: str = "(list)", outcome: str = "read") -> None:
    """Audits an opened page; automatic refreshes only at intervals."""
    parts = parts_of(request)
    if request.query_params.get("part"):
        parts.record_refresh(session.actor.name, action, target, outcome)
    else:
        parts.record(session.actor.name, action, target, outcome)


def local(target: str) -> str:
    """Returns a path on this board; the first page for anything else."""
    here = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if here else "/"


async def form_of(request: Request) -> dict[str, str]:
    """Returns the fields of a posted form; the last value of a repeated one counts."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise Refusal(413, f"the form is too large; at most {MAX_FORM} bytes")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=300))
    except ValueError:
        raise Refusal(400, "the form cannot be read; load the page again") from None


async def posted(request: Request) -> dict[str, str]:
    """Returns the fields of a signed-in caller's form, verified to come from this board."""
    fields = request.state.given = await form_of(request)
    session = await run_in_threadpool(signed_in, request)
    ours = sessions.from_this_site(request)
    if not ours or not sessions.same_secret(session, fields.pop("csrf", "")):
        refusal = await run_in_threadpool(
            denied,
            request,
            403,
            session.actor.name,
            "the form has expired or is not from this board; load the page again",
        )
        if ours and "form_id" in fields and not request.url.path.endswith("/scan"):
            raise StaleForm(str(refusal), request.url.path, fields)
        raise refusal
    return fields


Posted = Annotated[dict[str, str], Depends(posted)]
SignedIn = Annotated[Session, Depends(signed_in)]
PartsHere = Annotated[Parts, Depends(parts_of)]
