"""Callers: name for the audit, roles, facilities and limits."""

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
    """Limits of a caller: requests per second and in a burst, bytes and events per request."""

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
    """A caller.

    Attributes:
        name: name in the audit; a pseudonym for a person, never the token.
        facilities: None means all.
        sources: CloudEvents sources of which it may send events; None means any.
        person: the person of the pseudonym, for the vault; empty if the name is not a pseudonym.
        emergency: this request reads one encounter, which emergency access may open to the caller.
    """

    name: str
    roles: frozenset[Role] = frozenset({Role.ADMIN})
    facilities: frozenset[str] | None = None
    limits: Limits = field(default_factory=Limits)
    sources: frozenset[str] | None = None
    person: str = field(default="", compare=False)
    emergency: bool = field(default=False, compare=False)

    def may(self, right: Right) -> bool:
        return may(self.roles, right)

    def sees(self, facilities: Iterable[str]) -> bool:
        """Returns True if one of the facilities is the actor's; data without facility require all facilities."""
        return self.facilities is None or not self.facilities.isdisjoint(facilities)


@dataclass(frozen=True, slots=True)
class Login:
    """An authenticated caller.

    Attributes:
        until: when the authentication expires; None if never.
        proof: what a session stores to identify the caller again; it has no token.
    """

    actor: Actor
    until: datetime | None
    proof: dict[str, Any]
