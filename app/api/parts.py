"""What every endpoint may ask for: the store, the keys, the clock, the caller."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from activities.store.engine import Database
from activities.store.keys import Keyring
from activities.store.vault import audit
from app.api.access import Access, Actor
from app.api.problems import Refusal
from domain.rulebook import Rulebook
from domain.site import Site
from intake.delivery import Deliverer

ANONYMOUS = "(anonymous)"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """What a gateway is made of."""

    db: Database
    keys: Keyring
    access: Access
    site: Site | None
    rules: Callable[[], Rulebook] | None
    deliverer: Deliverer | None
    temporal_reachable: Callable[[], Awaitable[bool]] | None
    clock: Callable[[], datetime]

    def record(self, actor: str, action: str, target: str, outcome: str) -> None:
        """Write an audit entry in a transaction of its own."""
        with self.db.write() as session:
            audit(session, actor, action, target, outcome, self.clock())


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


Bearer = HTTPBearer(auto_error=False, description="the token of the installation, one per caller")


def caller(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(Bearer)]) -> Actor:
    """The caller of a request; refused without a valid token, or when it calls too often."""
    parts = parts_of(request)
    actor = parts.access.actor(credentials.credentials) if credentials else None
    if actor is None:
        route = request.scope.get("route")
        parts.record(ANONYMOUS, f"{request.method} {getattr(route, 'path', '')}", "(gateway)", "denied")
        raise Refusal(401, "send `Authorization: Bearer` with a valid token", headers={"WWW-Authenticate": "Bearer"})
    wait = parts.access.admit(actor)
    if wait:
        raise Refusal(429, "slow down", headers={"Retry-After": str(max(1, math.ceil(wait)))})
    return actor


Caller = Annotated[Actor, Depends(caller)]
PartsOf = Annotated[Parts, Depends(parts_of)]
