"""Dependencies of endpoints: store, keys, clock, caller."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from app.api import counters
from app.api.access import ANONYMOUS, Access
from app.api.access_watch import AccessOfFile
from app.api.actors import Actor, Login
from app.api.issuers import BadToken
from app.api.jwks import KeysAway
from app.api.problems import RETRY_SECONDS, Refusal, answer
from app.api.query_params import known_parameters
from app.api.roles import Right
from app.liveness import Liveness
from domain.rulebook import Rulebook
from domain.site import Site
from intake.delivery import Deliverer
from intake.inbox.receive import Reader
from intake.site_mapping import SiteMapping
from store.engine import Database
from store.keys import Keyring
from store.vault import audit, introduce


def utc_now() -> datetime:
    return datetime.now(UTC)


AGAIN = timedelta(minutes=15)
MOST_SEEN = 10_000


@dataclass(frozen=True)
class Parts:
    """The parts of a gateway."""

    db: Database
    keys: Keyring
    callers: Access | AccessOfFile
    site: Site | None
    rules: Callable[[], Rulebook] | None
    deliverer: Deliverer | None
    temporal_reachable: Callable[[], Awaitable[bool]] | None
    clock: Callable[[], datetime]
    reader: Reader | None = None
    mapping: SiteMapping | None = None
    idle: timedelta = timedelta(minutes=15)
    """Without an action of the person in this time, a session of the board ends."""
    liveness: Liveness = field(default_factory=Liveness)
    introduced: set[str] = field(default_factory=set)
    """Pseudonyms of persons whose names are in the vault."""
    seen: dict[tuple[str, str, str, str], datetime] = field(default_factory=dict)
    """When a caller's reading of a page was last audited."""

    @property
    def access(self) -> Access:
        """Returns the current callers."""
        return self.callers.current()

    def record(self, actor: str, action: str, target: str, outcome: str) -> None:
        """Writes an audit entry in a separate transaction."""
        with self.db.write() as session:
            audit(session, actor, action, target, outcome, self.clock())

    def record_refresh(self, actor: str, action: str, target: str, outcome: str = "read") -> None:
        """Audits the automatic refresh of a page, at intervals only."""
        now = self.clock()
        last = self.seen.get((actor, action, target, outcome))
        if last is None or not timedelta(0) <= now - last < AGAIN:
            self.record(actor, action, target, outcome)
            self.seen[(actor, action, target, outcome)] = now
        if len(self.seen) > MOST_SEEN:
            self.seen.clear()

    def introduce(self, actor: Actor) -> None:
        """Stores the name of a person in the vault, at the first call in this process."""
        if actor.person and actor.name not in self.introduced:
            with self.db.write() as session:
                introduce(session, self.keys, actor.name, actor.person)
            self.introduced.add(actor.name)


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


Bearer = HTTPBearer(auto_error=False, description="Token of the caller")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(Bearer)]


def caller(request: Request, credentials: Credentials) -> Actor:
    """Returns the caller of a request; refuses it without a valid token or above the rate limit."""
    if credentials is None or len(request.headers.getlist("authorization")) > 1:
        raise denied(request, 401, ANONYMOUS, "send one `Authorization: Bearer` with a valid token")
    return admitted(parts_of(request), logged_in(request, credentials.credentials).actor)


def logged_in(request: Request, token: str) -> Login:
    """Returns the login of a token; refuses a token that is not valid or cannot be verified now."""
    parts = parts_of(request)
    try:
        login = parts.access.login(token, parts.clock(), parts.keys)
    except BadToken as error:
        raise denied(request, 401, ANONYMOUS, str(error)) from None
    except KeysAway as error:
        counters.DENIED.labels(status="503").inc()
        raise Refusal(503, f"{error}; try again", headers={"Retry-After": str(RETRY_SECONDS)}) from None
    parts.introduce(login.actor)
    return login


def admitted(parts: Parts, actor: Actor) -> Actor:
    """Returns the actor, unless its rate limit is used up."""
    wait = parts.access.admit(actor)
    if wait:
        counters.DENIED.labels(status="429").inc()
        seconds, limits = max(1, math.ceil(wait)), actor.limits
        raise Refusal(
            429,
            f"rate limit exceeded: {limits.rate:g} requests per second, {limits.burst:g} in a burst; each event of a batch "
            f"counts as one request. Try again in {seconds} seconds",
            headers={"Retry-After": str(seconds)},
        )
    return actor


def denied(request: Request, status: int, actor: str, detail: str) -> Refusal:
    """Returns the refusal of an attempt, which is audited; many anonymous ones are only counted."""
    parts = parts_of(request)
    counters.DENIED.labels(status=str(status)).inc()
    if actor != ANONYMOUS or parts.access.admit_anonymous():
        route = getattr(request.scope.get("route"), "path_format", "")
        parts.record(actor, f"{request.method} {route}", "(gateway)", "denied")
    return Refusal(status, detail, headers={"WWW-Authenticate": "Bearer"} if status == 401 else None)


class OutOfReach(Refusal):
    """A resource of another facility: the response is as for an unknown one, and the attempt is audited."""

    def __init__(self, actor: Actor, target: str, detail: str, status: int = 404) -> None:
        super().__init__(status, detail)
        self.actor, self.target = actor, target


def require_all_facilities(actor: Actor, what: str) -> None:
    """Refuses a caller with some facilities only, for data of all facilities."""
    if actor.facilities is not None:
        raise OutOfReach(
            actor, f"({what})", f"{what} require access to all facilities; use a caller without a facility list", 403
        )


def put_on_record(request: Request, refusal: Refusal) -> None:
    """Audits an attempt beyond the caller's facilities; other refusals are audited where they arise."""
    if isinstance(refusal, OutOfReach):
        counters.DENIED.labels(status="403").inc()
        route = getattr(request.scope.get("route"), "path_format", "")
        parts_of(request).record(refusal.actor.name, f"{request.method} {route}", refusal.target, "denied")


async def out_of_reach(request: Request, error: Exception) -> Response:
    """Handles `OutOfReach` as an error response."""
    assert isinstance(error, OutOfReach)
    await run_in_threadpool(put_on_record, request, error)
    return answer(error)


def allowed(right: Right, *, emergency: bool = False) -> Any:
    """Returns a dependency: a caller whose role has the right (`app.api.roles`).

    Args:
        emergency: the endpoint reads one encounter; a caller with emergency access to it needs no other right.
    """

    def check(request: Request, actor: Annotated[Actor, Depends(caller)]) -> Actor:
        return with_right(request, in_emergency(actor, right) if emergency else actor, right)

    return Depends(check)


def with_right(request: Request, actor: Actor, right: Right) -> Actor:
    """Returns the actor if one of its roles has the right and the query parameters are known."""
    if not (actor.may(right) or actor.emergency):
        raise denied(request, 403, actor.name, f"this requires a role with the right {right.value}")
    known_parameters(request)
    return actor


def in_emergency(actor: Actor, right: Right) -> Actor:
    """Returns the actor for a read of one encounter: with emergency access, if a role of the actor may have it.

    Without the right itself the actor sees nothing but the encounters that emergency access opened (`app.api.reading`).
    """
    if not actor.may(Right.EMERGENCY_ACCESS):
        return actor
    return replace(actor, emergency=True, facilities=actor.facilities if actor.may(right) else frozenset())


Caller = Annotated[Actor, Depends(caller)]
PartsOf = Annotated[Parts, Depends(parts_of)]
Preflighter = Annotated[Actor, allowed(Right.PREFLIGHT)]
TimelineReader = Annotated[Actor, allowed(Right.READ_TIMELINE)]
EncounterReader = Annotated[Actor, allowed(Right.READ_ENCOUNTERS)]
ClaimReader = Annotated[Actor, allowed(Right.READ_CLAIMS)]
PacketMaker = Annotated[Actor, allowed(Right.MAKE_PACKETS)]
AlertReader = Annotated[Actor, allowed(Right.READ_ALERTS)]
AlertAcknowledger = Annotated[Actor, allowed(Right.ACKNOWLEDGE_ALERTS)]
QuarantineReader = Annotated[Actor, allowed(Right.READ_QUARANTINE)]
Replayer = Annotated[Actor, allowed(Right.REPLAY_QUARANTINE)]
AuditReader = Annotated[Actor, allowed(Right.READ_AUDIT)]
EmergencyUser = Annotated[Actor, allowed(Right.EMERGENCY_ACCESS)]
OneEncounterReader = Annotated[Actor, allowed(Right.READ_ENCOUNTERS, emergency=True)]
OneTimelineReader = Annotated[Actor, allowed(Right.READ_TIMELINE, emergency=True)]
OneClaimReader = Annotated[Actor, allowed(Right.READ_CLAIMS, emergency=True)]
OneAlertReader = Annotated[Actor, allowed(Right.READ_ALERTS, emergency=True)]
