"""Who may call: tokens of the installation, tokens of an identity provider, signatures; and a budget for each caller."""

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
    """A token or access file cannot be used; the message names the field and its cure."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass
class Access:
    """The callers of a gateway: by the digest of their token, by their issuer, or by the signature of their webhooks.

    Attributes:
        configured: callers were named one by one; a gateway may then serve beyond the loopback address.
    """

    actors: dict[str, Actor]
    webhooks: Sequence[tuple[Actor, Webhook]] = ()
    issuers: Sequence[Issuer] = ()
    configured: bool = False
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def current(self) -> Access:
        """The callers of this moment: these, for good."""
        return self

    def succeeding(self, before: Access) -> Access:
        """These callers in the place of those before: what each has used of its budget and known keys are kept."""
        keys = {issuer.keys.origin: issuer.keys for issuer in before.issuers}
        issuers = [replace(issuer, keys=keys.get(issuer.keys.origin, issuer.keys)) for issuer in self.issuers]
        return replace(self, issuers=issuers, _buckets=before._buckets, _lock=before._lock)

    @classmethod
    def from_token_file(cls, path: Path) -> Access:
        """One token with every right: the embedded stack's."""
        return cls({digest(read_token(path)): Actor("token")})

    def actor(self, token: str) -> Actor | None:
        """Whose token of the installation it is. Every known digest is compared, so that time tells nothing."""
        given, found = digest(token), None
        for known, actor in self.actors.items():
            if hmac.compare_digest(known, given):
                found = actor
        return found

    def login(self, token: str, now: datetime, keys: Keyring) -> Login:
        """Who a token lets in.

        Raises:
            BadToken: nobody; the message says why.
            KeysAway: the issuer's keys cannot be read, so that nobody can say.
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
        raise BadToken("the token is another issuer's")

    def resume(self, proof: Mapping[str, Any], keys: Keyring) -> Actor | None:
        """The caller of a session, by today's access file; None when it is not let in any more."""
        if "digest" in proof:
            return self.actors.get(proof["digest"])
        issuer = next((one for one in self.issuers if one.name == proof["issuer"]), None)
        return issuer.actor(proof["claims"], keys) if issuer else None

    def admit(self, actor: Actor) -> float:
        """Take one request out of the actor's budget; returns the seconds to wait when there is none, else 0."""
        return self._take(actor.name, actor.limits.rate, actor.limits.burst)

    def charge(self, actor: Actor, more: int) -> None:
        """Take the further events of a batch out of the budget, into debt if need be: the next request waits for them."""
        with self._lock:
            bucket = self._buckets.get(actor.name)
            if bucket is not None:
                bucket.tokens -= more

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


def _issuer_named(token: str) -> str | None:
    """The issuer that a token says it is of, unproven: it only chooses whose keys must prove it."""
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
    """Tokens are long and random, so one round of SHA-256 hides them well enough in memory and in the access file."""
    return hashlib.sha256(token.encode()).hexdigest()


def text_of(path: Path) -> str:
    """The text of a file of secrets or rights.

    Raises:
        AccessError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AccessError(f"{path.name} is not UTF-8 text") from None


def read_token(path: Path) -> str:
    """Read a token file.

    Raises:
        AccessError: missing or empty.
    """
    token = text_of(path).strip()
    if not token:
        raise AccessError("the token file is empty; restore it from its backup")
    return token
