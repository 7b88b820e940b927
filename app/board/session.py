"""Who is signed in: a sealed cookie that says whose token it was, and a secret that every form must repeat.

The cookie holds no token. At each request the access file says anew what its caller may do, if anything. Who signs out
ends the session for good: a copy of its cookie opens nothing any more, at any gateway.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from app.api.access import Access
from app.api.actors import Actor, Login
from store.engine import Database
from store.keys import Keyring, SealBroken
from store.replay_guard import end_session, session_ended

COOKIE = "cart_session"
PURPOSE = "board.session"
LASTS = timedelta(hours=12)
"""One shift; afterwards the token is asked for again."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in caller. `csrf` is what its forms carry."""

    actor: Actor
    csrf: str


def seal(keys: Keyring, login: Login, now: datetime) -> str:
    """A cookie value for a fresh session; it ends with the shift, or with the token before that."""
    until = min(login.until or now + LASTS, now + LASTS)
    body = {
        "proof": login.proof,
        "csrf": secrets.token_urlsafe(24),
        "at": now.timestamp(),
        "until": until.timestamp(),
    }
    return base64.urlsafe_b64encode(keys.seal(json.dumps(body).encode(), PURPOSE)).decode()


def read(keys: Keyring, access: Access, cookie: str | None, now: datetime) -> Session | None:
    """The session of a cookie; None when there is none, it has run out, or its token is no longer known."""
    if not cookie:
        return None
    try:
        body = json.loads(keys.open(base64.urlsafe_b64decode(cookie), PURPOSE))
    except (SealBroken, binascii.Error, ValueError):
        return None
    if not float(body["at"]) <= now.timestamp() < float(body["until"]):
        return None
    actor = access.resume(body["proof"], keys)
    return Session(actor, body["csrf"]) if actor else None


def end(db: Database, keys: Keyring, session: Session, now: datetime) -> None:
    """End a session before its time."""
    with db.write() as writing:
        end_session(writing, _key(keys, session), now + LASTS, now)


def ended(db: Database, keys: Keyring, session: Session) -> bool:
    """Whether somebody signed out of it."""
    with db.read() as reading:
        return session_ended(reading, _key(keys, session))


def _key(keys: Keyring, session: Session) -> str:
    return keys.digest("board.session", session.csrf)


def set_cookie(response: Response, request: Request, value: str) -> None:
    """Hand the cookie out: never to scripts, never with a request from another site."""
    response.set_cookie(
        COOKIE,
        value,
        max_age=int(LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=_is_secure(request),
    )


def clear_cookie(response: Response, request: Request) -> None:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_secure(request))


def _is_secure(request: Request) -> bool:
    forwarded = request.headers.get("x-forwarded-proto", "")
    return request.url.scheme == "https" or forwarded.split(",")[0].strip() == "https"


def from_this_site(request: Request) -> bool:
    """False for a request that a browser says comes from another site."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def same_secret(session: Session, given: str) -> bool:
    """Whether a form repeats the session's secret."""
    return hmac.compare_digest(session.csrf.encode(), given.encode())
