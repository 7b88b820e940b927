"""Public keys of an issuer (JWKS, RFC 7517), from a file or URL, cached and read again if a key is missing.

Tokens with an unpublished key cause at most one request in 30 seconds.
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
"""How long keys are used before they are read again."""

LOOK_AGAIN_SECONDS = 30.0
"""Shortest time between two reads caused by an unknown key."""

STALE_SECONDS = 24 * 3600.0
"""How long known keys are used while the issuer does not respond; a withdrawn key must not be valid for longer."""

TIMEOUT_SECONDS = 5.0
LARGEST = 256 * 1024
ASYMMETRIC: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
SMALLEST_RSA_BITS = 2048

log = structlog.get_logger(__name__)


class KeysAway(RuntimeError):
    """The issuer's keys are not available, so a token cannot be verified now."""


class Keys(Protocol):
    """Source of an issuer's keys; `origin` is its file or URL."""

    @property
    def origin(self) -> str: ...

    def find(self, kid: str | None) -> Key | None:
        """Returns the key of an ID, or the only key without an ID; None if it is not published.

        Raises:
            KeysAway: the keys could not be read recently.
        """


def read_jwks(text: str | bytes) -> KeySet:
    """Returns the keys for signatures; secrets, encryption keys and unknown types are left out.

    Raises:
        ValueError: not a key set, or no usable key.
    """
    try:
        listed = json.loads(text)["keys"]
        keys = [key for entry in listed if (key := _key(entry)) is not None]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("not a JSON Web Key Set") from None
    if not keys:
        raise ValueError("the key set has no public key for signatures")
    return KeySet(keys)


def _key(entry: Mapping[str, Any]) -> Key | None:
    kind = ASYMMETRIC.get(str(entry["kty"]))
    if kind is None or entry.get("use", "sig") != "sig":
        return None
    try:
        key = kind.import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError):
        log.warning("access.key_left_out", reason="cannot be read")
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
    """Keys in a file, read again if it changes. An invalid change keeps the previous keys."""

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
    """Keys at a URL. One request at a time; other callers use the known keys meanwhile.

    Args:
        fetch: reads the URL; any error means that the issuer does not respond.
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
        """Reads the URL unless it was read just now. Callers wait for the first read only."""
        if not self._lock.acquire(blocking=self._keys is None):
            return
        try:
            if self._now() - self._looked_at < LOOK_AGAIN_SECONDS:
                return
            self._looked_at = self._now()
            self._keys = read_jwks(self._fetch(self._url))
            self._good_at = self._looked_at
        except Exception as error:  # noqa: BLE001 after any error the known keys stay valid
            log.warning("access.keys_away", error=type(error).__name__)
        finally:
            self._lock.release()


def fetch_jwks(url: str) -> bytes:
    """Returns the body of a URL, without redirects and up to a size limit.

    Raises:
        httpx.HTTPError: the server does not respond or returns an error.
        ValueError: the body is too large.
    """
    body = bytearray()
    with httpx.stream("GET", url, timeout=TIMEOUT_SECONDS, follow_redirects=False) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > LARGEST:
                raise ValueError("the key set is too large")
    return bytes(body)
