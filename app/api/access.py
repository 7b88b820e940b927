"""Who may call: bearer tokens compared in constant time, roles, facilities, and a budget of requests for each caller."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.api.roles import Right, Role, may
from app.api.webhooks import Webhook, read_secret

REQUESTS_PER_SECOND = 500.0
BURST = 2000.0
ANONYMOUS = "(anonymous)"
ANONYMOUS_PER_SECOND = 5.0
ANONYMOUS_BURST = 50.0


class AccessError(ValueError):
    """A token or access file cannot be used; the message names the field and its cure."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls. `name` goes into the audit, it is never the token. `facilities` None means all of them."""

    name: str
    roles: frozenset[Role] = frozenset({Role.ADMIN})
    facilities: frozenset[str] | None = None
    rate: float = REQUESTS_PER_SECOND
    burst: float = BURST

    def may(self, right: Right) -> bool:
        return may(self.roles, right)

    def sees(self, facilities: Iterable[str]) -> bool:
        """True for what concerns one of the actor's facilities; what concerns none yet is for actors of all of them."""
        return self.facilities is None or not self.facilities.isdisjoint(facilities)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass
class Access:
    """The callers of a gateway: by the digest of their token, or by the signature of their webhooks.

    Attributes:
        configured: callers were named one by one; a gateway may then serve beyond the loopback address.
    """

    actors: dict[str, Actor]
    webhooks: Sequence[tuple[Actor, Webhook]] = ()
    configured: bool = False
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def from_token_file(cls, path: Path) -> Access:
        """One token with every right: the embedded stack's."""
        return cls({digest(read_token(path)): Actor("token")})

    @classmethod
    def from_access_file(cls, path: Path) -> Access:
        """The callers of an access file (TOML).

        Raises:
            AccessError: it cannot be read or does not fit; every problem is named.
        """
        return parse_access(_text(path), path.parent)

    def actor(self, token: str) -> Actor | None:
        """Whose token it is. Every known digest is compared, so that time tells nothing."""
        given, found = digest(token), None
        for known, actor in self.actors.items():
            if hmac.compare_digest(known, given):
                found = actor
        return found

    def admit(self, actor: Actor) -> float:
        """Take one request out of the actor's budget; returns the seconds to wait when there is none, else 0."""
        return self._take(actor.name, actor.rate, actor.burst)

    def admit_anonymous(self) -> bool:
        """Whether a denied attempt is still put on record; a flood of them must not fill the database."""
        return self._take(ANONYMOUS, ANONYMOUS_PER_SECOND, ANONYMOUS_BURST) == 0

    def _take(self, name: str, rate: float, burst: float) -> float:
        with self._lock:
            now = self.now()
            bucket = self._buckets.setdefault(name, _Bucket(burst, now))
            bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / rate
            bucket.tokens -= 1
            return 0.0


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=60)]
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    facilities: frozenset[str] | None = None
    requests_per_second: Annotated[float, Field(gt=0)] = REQUESTS_PER_SECOND
    burst: Annotated[float, Field(ge=1)] = BURST

    @property
    def actor(self) -> Actor:
        return Actor(self.name, self.roles, self.facilities, self.requests_per_second, self.burst)


class _Caller(_Part):
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Sender(_Part):
    secret_file: str


class _AccessFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[_Caller, ...] = ()
    webhooks: tuple[_Sender, ...] = ()


def parse_access(text: str, directory: Path) -> Access:
    """Read the text of an access file; secret files are named relative to its directory.

    Raises:
        AccessError: it does not fit; every problem is named, no secret repeated.
    """
    try:
        parsed = _AccessFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AccessError(f"the access file is not TOML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise AccessError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found)) from None
    names = [part.name for part in (*parsed.callers, *parsed.webhooks)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AccessError(f"{', '.join(twice)} stands twice in the access file; every caller has its own name")
    hooks = [(sender.actor, Webhook(_secret(directory / sender.secret_file))) for sender in parsed.webhooks]
    return Access({caller.token_sha256: caller.actor for caller in parsed.callers}, hooks, configured=True)


def _secret(path: Path) -> bytes:
    try:
        return read_secret(_text(path))
    except ValueError as error:
        raise AccessError(f"secret file {path.name}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessError(f"{path.name} cannot be read: {error.strerror}") from None


def digest(token: str) -> str:
    """Tokens are long and random, so one round of SHA-256 hides them well enough in memory and in the access file."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(path: Path) -> str:
    """Read a token file.

    Raises:
        AccessError: missing or empty.
    """
    token = _text(path).strip()
    if not token:
        raise AccessError("the token file is empty; restore it from its backup")
    return token
