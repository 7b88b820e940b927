"""Board sessions: an encrypted cookie that identifies the caller, and a secret that every form must repeat.

The cookie has no token. Each request reads the caller's rights from the access file again. Signing out ends the session for
every copy of its cookie, at every gateway.
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
"""One shift; then the token is required again."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in caller. `csrf` is the secret of its forms."""

    actor: Actor
    csrf: str


def seal(keys: Keyring, login: Login, now: datetime) -> str:
    """Returns the cookie of a new session; it ends after a shift, or earlier with the token."""
    until = min(login.until or now + LASTS, now + LASTS)
    body = {
        "proof": login.proof,
        "csrf": secrets.token_urlsafe(24),
        "at": now.timestamp(),
        "until": until.timestamp(),
    }
    return base64.urlsafe_b64encode(keys.seal(json.dumps(body).encode(), PURPOSE)).decode()


def read(keys: Keyring, access: Access, cookie: str | None, now: datetime) -> Session | None:
    """Returns the session of a cookie; None if it is missing or expired, or its token is no longer valid."""
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
    """Ends a session before it expires."""
    with db.write() as writing:
        end_session(writing, _key(keys, session), now + LASTS, now)


def ended(db: Database, keys: Keyring, session: Session) -> bool:
    """Returns True if the session was signed out."""
    with db.read() as reading:
        return session_ended(reading, _key(keys, session))


def _key(keys: Keyring, session: Session) -> str:
    return keys.digest("board.session", session.csrf)


def set_cookie(response: Response, request: Request, value: str) -> None:
    """Sets the cookie, not readable by scripts and not sent from other sites."""
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
    """Returns False if the browser reports a request from another site."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def same_secret(session: Session, given: str) -> bool:
    """Returns True if a form repeats the session's secret."""
    return hmac.compare_digest(session.csrf.encode(), given.encode())
