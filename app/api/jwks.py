"""The public keys of an issuer (JWKS, RFC 7517): from a file or an address, kept, read again when a key is not among them.

A token that names a key nobody has published costs one look-up in half a minute, not one each.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

FRESH_SECONDS = 600.0
"""How long keys are used without looking again."""

LOOK_AGAIN_SECONDS = 30.0
"""How soon after a look another one may be asked for by a key that is not among the known ones."""

STALE_SECONDS = 24 * 3600.0
"""How long known keys outlive an issuer that does not answer; then a key withdrawn in between must not count any more."""

TIMEOUT_SECONDS = 5.0
LARGEST = 256 * 1024
ASYMMETRIC: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
SMALLEST_RSA_BITS = 2048

log = structlog.get_logger(__name__)


class KeysAway(RuntimeError):
    """No keys of the issuer are to be had: whether a token is good cannot be said now."""


class Keys(Protocol):
    """Where the keys of an issuer come from; `origin` names the place."""

    @property
    def origin(self) -> str: ...

    def find(self, kid: str | None) -> Key | None:
        """The key of that id; without an id the only key there is. None when it is not published.

        Raises:
            KeysAway: the keys could not be read, now or lately.
        """


def read_jwks(text: str | bytes) -> KeySet:
    """The keys that may verify signatures; secrets, keys for encryption and kinds unknown here are left out.

    Raises:
        ValueError: not a key set, or no usable key in it.
    """
    try:
        listed = json.loads(text)["keys"]
        keys = [key for entry in listed if (key := _key(entry)) is not None]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("not a JSON Web Key Set") from None
    if not keys:
        raise ValueError("no public key for signatures is in the key set")
    return KeySet(keys)


def _key(entry: Mapping[str, Any]) -> Key | None:
    kind = ASYMMETRIC.get(str(entry["kty"]))
    if kind is None or entry.get("use", "sig") != "sig":
        return None
    try:
        key = kind.import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError):
        log.warning("access.key_left_out", reason="it cannot be read")
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < SMALLEST_RSA_BITS:
        log.warning("access.key_left_out", reason=f"RSA below {SMALLEST_RSA_BITS} bits")
        return None
    return key


def _among(keys: KeySet, kid: str | None) -> Key | None:
    if kid is None:
        return keys.keys[0] if len(keys.keys) == 1 else None
    return next((key for key in keys.keys if key.kid == kid), None)


class FileKeys:
    """Keys in a file, read again when it changes. A change that does not fit leaves the keys as they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._now()
        self._keys = read_jwks(path.read_bytes())

    @property
    def origin(self) -> str:
        return str(self._path)

    def find(self, kid: str | None) -> Key | None:
        stamp = self._now()
        if stamp != self._stamp:
            try:
                self._keys = read_jwks(self._path.read_bytes())
            except (OSError, ValueError) as error:
                log.warning("access.keys_unreadable", error=type(error).__name__)
            self._stamp = stamp
        return _among(self._keys, kid)

    def _now(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class UrlKeys:
    """Keys at an address. One look at a time; whoever comes meanwhile uses what is known.

    Args:
        fetch: reads the address; an error of any kind means that the issuer does not answer.
    """

    def __init__(
        self,
        url: str,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._fetch, self._now = url, fetch or fetch_jwks, now
        self._keys: KeySet | None = None
        self._good_at = self._looked_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def origin(self) -> str:
        return self._url

    def find(self, kid: str | None) -> Key | None:
        if self._keys is None or self._now() - self._good_at > FRESH_SECONDS:
            self._look()
        found = self._known(kid)
        if found is None and self._looked_at > float("-inf"):
            self._look()
            found = self._known(kid)
        return found

    def _known(self, kid: str | None) -> Key | None:
        if self._keys is None or self._now() - self._good_at > STALE_SECONDS:
            raise KeysAway("the issuer's keys cannot be read")
        return _among(self._keys, kid)

    def _look(self) -> None:
        """Read the address unless that was done just now. The first look is waited for, later ones block nobody else."""
        if not self._lock.acquire(blocking=self._keys is None):
            return
        try:
            if self._now() - self._looked_at < LOOK_AGAIN_SECONDS:
                return
            self._looked_at = self._now()
            self._keys = read_jwks(self._fetch(self._url))
            self._good_at = self._looked_at
        except Exception as error:  # noqa: BLE001 whatever it was, the keys known so far go on counting
            log.warning("access.keys_away", error=type(error).__name__)
        finally:
            self._lock.release()


def fetch_jwks(url: str) -> bytes:
    """The body at an address: no redirect is followed, and no more is read than a key set needs.

    Raises:
        httpx.HTTPError: it does not answer well.
        ValueError: it is too large.
    """
    body = bytearray()
    with httpx.stream("GET", url, timeout=TIMEOUT_SECONDS, follow_redirects=False) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > LARGEST:
                raise ValueError("the key set is too large")
    return bytes(body)
