"""Callers and their limits: tokens of the installation, tokens of an identity provider, signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.api.actors import Actor, Login
from app.api.issuers import BadToken, Issuer
from app.api.webhooks import Webhook
from store.keys import Keyring

ANONYMOUS = "(anonymous)"
ANONYMOUS_PER_SECOND = 5.0
ANONYMOUS_BURST = 50.0


class AccessError(ValueError):
    """A token or access file is not valid; the message names the field and the fix."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass
class Access:
    """The callers of a gateway, by token digest, issuer or webhook signature.

    Attributes:
        configured: callers are listed in an access file; the gateway may then serve other machines.
    """

    actors: dict[str, Actor]
    webhooks: Sequence[tuple[Actor, Webhook]] = ()
    issuers: Sequence[Issuer] = ()
    configured: bool = False
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Access:
        """Returns the current callers."""
        return self

    def succeeding(self, before: Access) -> Access:
        """Returns these callers with the used limits and known keys of the previous ones."""
        keys = {issuer.keys.origin: issuer.keys for issuer in before.issuers}
        issuers = [replace(issuer, keys=keys.get(issuer.keys.origin, issuer.keys)) for issuer in self.issuers]
        return replace(self, issuers=issuers, _buckets=before._buckets, _lock=before._lock)

    @classmethod
    def from_token_file(cls, path: Path) -> Access:
        """Returns the single token with every right, of the embedded stack."""
        return cls({digest(read_token(path)): Actor("token")})

    def actor(self, token: str) -> Actor | None:
        """Returns the caller of a token; every known digest is compared, so that timing reveals nothing."""
        given, found = digest(token), None
        for known, actor in self.actors.items():
            if hmac.compare_digest(known, given):
                found = actor
        return found

    def login(self, token: str, now: datetime, keys: Keyring) -> Login:
        """Returns the caller of a token.

        Raises:
            BadToken: the token is not valid; the message has the reason.
            KeysAway: the issuer's keys cannot be read now.
        """
        known = self.actor(token)
        if known is not None:
            return Login(known, None, {"digest": digest(token)})
        named = _issuer_named(token) if self.issuers else None
        if named is None:
            raise BadToken("send `Authorization: Bearer` with a valid token")
        for issuer in self.issuers:
            if issuer.issuer == named:
                return issuer.login(token, now, keys)
        raise BadToken("the token is from an unknown issuer")

    def resume(self, proof: Mapping[str, Any], keys: Keyring) -> Actor | None:
        """Returns the caller of a session by the current access file; None if it is no longer allowed."""
        if "digest" in proof:
            return self.actors.get(proof["digest"])
        issuer = next((one for one in self.issuers if one.name == proof["issuer"]), None)
        return issuer.actor(proof["claims"], keys) if issuer else None

    def admit(self, actor: Actor) -> float:
        """Counts a request against the actor's limit; returns the seconds to wait if it is used up, else 0."""
        return self._count(actor.name, actor.limits.rate, actor.limits.burst)

    def charge(self, actor: Actor, more: int) -> None:
        """Counts further events of a batch against the limit, below zero if needed; the next request then waits."""
        with self._lock:
            bucket = self._buckets.get(actor.name)
            if bucket is not None:
                bucket.tokens -= more

    def admit_anonymous(self) -> bool:
        """Returns True if a denied attempt is audited; a limit keeps attempts from filling the database."""
        return self._count(ANONYMOUS, ANONYMOUS_PER_SECOND, ANONYMOUS_BURST) == 0

    def _count(self, name: str, rate: float, burst: float) -> float:
        with self._lock:
            now = self.now()
            bucket = self._buckets.setdefault(name, _Bucket(burst, now))
            bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / rate
            bucket.tokens -= 1
            return 0.0


def _issuer_named(token: str) -> str | None:
    """Returns the unverified issuer of a token, which only selects the keys for verification."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    named = claims.get("iss") if isinstance(claims, dict) else None
    return named if isinstance(named, str) else None


def digest(token: str) -> str:
    """Returns the SHA-256 of a token; one round is enough, since tokens are long and random."""
    return hashlib.sha256(token.encode()).hexdigest()


def text_of(path: Path) -> str:
    """Returns the text of a file of secrets or rights.

    Raises:
        AccessError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AccessError(f"{path.name} is not UTF-8 text") from None


def read_token(path: Path) -> str:
    """Returns the token of a file.

    Raises:
        AccessError: the file is missing or empty.
    """
    token = text_of(path).strip()
    if not token:
        raise AccessError("the token file is empty; restore it from its backup")
    return token
