"""Who calls: a name for the audit, roles, facilities, and how much may be asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.api.roles import Right, Role, may

REQUESTS_PER_SECOND = 500.0
BURST = 2000.0
MAX_BODY = 4 * 1024 * 1024
MAX_FILE = 32 * 1024 * 1024
"""Of a payer file; a caller whose bodies are limited below `MAX_BODY` keeps that limit for files, too."""
FILE_PATH = "/v1/replies"
MAX_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a caller may ask for: requests in the long run and at once, bytes and events of one request."""

    rate: float = REQUESTS_PER_SECOND
    burst: float = BURST
    body: int = MAX_BODY
    events: int = MAX_EVENTS

    def of(self, path: str) -> int:
        """Bytes of a body sent there."""
        return min(self.body, largest(path)) if self.body < MAX_BODY else largest(path)


def largest(path: str) -> int:
    """The most that any caller may send there."""
    return MAX_FILE if path == FILE_PATH else MAX_BODY


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls.

    Attributes:
        name: stands in the audit; never the token, and of a person only the pseudonym.
        facilities: None means all of them.
        sources: the CloudEvents sources it may send events of; None means any.
        person: who the pseudonym is, for the vault; empty where the name says it all.
    """

    name: str
    roles: frozenset[Role] = frozenset({Role.ADMIN})
    facilities: frozenset[str] | None = None
    limits: Limits = field(default_factory=Limits)
    sources: frozenset[str] | None = None
    person: str = field(default="", compare=False)

    def may(self, right: Right) -> bool:
        return may(self.roles, right)

    def sees(self, facilities: Iterable[str]) -> bool:
        """True for what concerns one of the actor's facilities; what concerns none yet is for actors of all of them."""
        return self.facilities is None or not self.facilities.isdisjoint(facilities)


@dataclass(frozen=True, slots=True)
class Login:
    """A caller that proved who it is.

    Attributes:
        until: when the proof runs out; None when it does not.
        proof: what a session keeps to know the caller again: it holds no token.
    """

    actor: Actor
    until: datetime | None
    proof: dict[str, Any]
