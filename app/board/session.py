"""Board sessions: an encrypted cookie that identifies the caller, and a secret that every form must repeat.

The cookie has no token. Each request reads the caller's rights from the access file again. Signing out ends the session for
every copy of its cookie, at every gateway. The cookie carries when the person last acted: after the idle time it opens nothing.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
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
IDLE = timedelta(minutes=15)
"""Default of the time without a person's action after which a session ends (45 CFR 164.312(a)(2)(iii))."""
OFTEN = timedelta(minutes=1)
"""A cookie is renewed at most once in this time, and at least four times in the idle time."""


class Idle(Exception):
    """The session ended, because no one acted for the idle time."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in caller.

    Attributes:
        csrf: the secret of its forms.
        acted: when a person last made a request.
        until: when the session ends, whatever the person does.
        proof: what identifies the caller again.
    """

    actor: Actor
    csrf: str
    acted: datetime
    until: datetime
    proof: dict[str, Any]
    at: float


def seal(keys: Keyring, login: Login, now: datetime) -> str:
    """Returns the cookie of a new session; it ends after a shift, or earlier with the token."""
    until = min(login.until or now + LASTS, now + LASTS)
    return _sealed(keys, login.proof, secrets.token_urlsafe(24), now.timestamp(), until, now)


def renewed(keys: Keyring, session: Session, now: datetime) -> str:
    """Returns the cookie of the same session after a person acted; its end stays."""
    return _sealed(keys, session.proof, session.csrf, session.at, session.until, now)


def is_due(session: Session, now: datetime, idle: timedelta) -> bool:
    """Returns True if the cookie of a person who acts now is renewed."""
    return now - session.acted >= often(idle)


def often(idle: timedelta) -> timedelta:
    """Returns the time in which a cookie is renewed at most once."""
    return min(OFTEN, idle / 4)


def _sealed(keys: Keyring, proof: dict[str, Any], csrf: str, at: float, until: datetime, acted: datetime) -> str:
    body = {"proof": proof, "csrf": csrf, "at": at, "until": until.timestamp(), "acted": acted.timestamp()}
    return base64.urlsafe_b64encode(keys.seal(json.dumps(body).encode(), PURPOSE)).decode()


def read(keys: Keyring, access: Access, cookie: str | None, now: datetime, idle: timedelta = IDLE) -> Session | None:
    """Returns the session of a cookie; None if it is missing or expired, or its token is no longer valid.

    Raises:
        Idle: no one acted for the idle time.
    """
    if not cookie:
        return None
    try:
        body = json.loads(keys.open(base64.urlsafe_b64decode(cookie), PURPOSE))
    except (SealBroken, binascii.Error, ValueError):
        return None
    if not float(body["at"]) <= now.timestamp() < float(body["until"]):
        return None
    actor = access.resume(body["proof"], keys)
    if actor is None:
        return None
    acted = datetime.fromtimestamp(float(body.get("acted", body["at"])), UTC)
    if now - acted >= idle:
        raise Idle
    return Session(actor, body["csrf"], acted, datetime.fromtimestamp(body["until"], UTC), body["proof"], body["at"])


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


def set_cookie(response: Response, request: Request, value: str, lasts: timedelta = LASTS) -> None:
    """Sets the cookie, not readable by scripts and not sent from other sites."""
    response.set_cookie(
        COOKIE,
        value,
        max_age=int(lasts.total_seconds()),
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
