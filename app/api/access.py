"""Who may call: bearer tokens compared in constant time, a rate limit for each of them, denied attempts on record."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

REQUESTS_PER_SECOND = 500.0
BURST = 2000.0


class TokenFileError(ValueError):
    """The token file is missing or empty; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who calls. `name` goes into the audit; it is never the token."""

    name: str


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass
class Access:
    """The callers of a gateway, by the digest of their token."""

    actors: dict[str, Actor]
    rate: float = REQUESTS_PER_SECOND
    burst: float = BURST
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def from_token_file(cls, path: Path) -> Access:
        """One token with every right: the embedded stack's."""
        return cls.of([("token", read_token(path))])

    @classmethod
    def of(cls, tokens: Iterable[tuple[str, str]]) -> Access:
        return cls({digest(token): Actor(name) for name, token in tokens})

    def actor(self, token: str) -> Actor | None:
        """Whose token it is. Every known digest is compared, so that time tells nothing."""
        given, found = digest(token), None
        for known, actor in self.actors.items():
            if hmac.compare_digest(known, given):
                found = actor
        return found

    def admit(self, actor: Actor) -> float:
        """Take one request out of the actor's budget; returns the seconds to wait when there is none, else 0."""
        with self._lock:
            now = self.now()
            bucket = self._buckets.setdefault(actor.name, _Bucket(self.burst, now))
            bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.rate)
            bucket.at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / self.rate
            bucket.tokens -= 1
            return 0.0


def digest(token: str) -> str:
    """Tokens are long and random, so one round of SHA-256 hides them well enough in memory."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(path: Path) -> str:
    """Read a token file.

    Raises:
        TokenFileError: missing or empty.
    """
    try:
        token = path.read_text().strip()
    except OSError:
        raise TokenFileError("the token file is missing; restore it or remove the data directory's run file") from None
    if not token:
        raise TokenFileError("the token file is empty; restore it from its backup")
    return token
