"""Access tokens of a FHIR server for us as a program: SMART Backend Services, or a token from a file.

A signed statement of who we are (private_key_jwt, RFC 7523) is exchanged for a token, which is used until it is about to
expire or is refused. Keys are read again when their file changes; the first one that the server knows signs, so that a new
key stands before the old one for as long as the server has only that.
https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from intake.site_mapping import FhirFeed

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CONFIGURATION: Final = "/.well-known/smart-configuration"
ASSERTED_SECONDS: Final = 240
EARLY_SECONDS: Final = 30
"""How long before its end a token is not used any more."""

SHORTEST_SECONDS: Final = 60
CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
LARGEST: Final = 256 * 1024


class NotAuthorized(Exception):
    """No token is to be had; the message says why, without a value of ours or of the server's."""


@dataclass(slots=True)
class _Token:
    value: str
    until: float


class Tokens:
    """The tokens of one process, by feed.

    Args:
        clock: seconds; for the life of a token.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Token] = {}
        self._turn = asyncio.Lock()

    async def header(self, client: httpx.AsyncClient, feed: FhirFeed) -> dict[str, str]:
        """The header of a request to the feed's server.

        Raises:
            NotAuthorized: no token is to be had.
            httpx.HTTPError: the authorization server does not answer.
        """
        if feed.client_id is not None:
            async with self._turn:
                return {"Authorization": f"Bearer {await self._current(client, feed)}"}
        if feed.token_file:
            return {"Authorization": f"Bearer {(await _text(feed.token_file, 'token_file')).strip()}"}
        return {}

    def drop(self, feed: FhirFeed) -> bool:
        """Forget a token that was refused; returns whether another one may be had."""
        return self._known.pop(feed.name, None) is not None

    async def _current(self, client: httpx.AsyncClient, feed: FhirFeed) -> str:
        known = self._known.get(feed.name)
        if known is not None and self._clock() < known.until:
            return known.value
        url = feed.token_url or await _discovered(client, feed)
        reason = "its key file has no key"
        for key in await _keys(feed):
            answer = await client.post(url, data=self._question(feed, url, key), headers={"Accept": "application/json"})
            if answer.status_code == httpx.codes.OK:
                return self._kept(feed, answer)
            reason = f"the authorization server answers {answer.status_code}"
            if answer.status_code not in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
                break
        raise NotAuthorized(reason)

    def _question(self, feed: FhirFeed, url: str, key: Key) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": feed.client_id,
            "sub": feed.client_id,
            "aud": url,
            "iat": now,
            "exp": now + ASSERTED_SECONDS,
            "jti": secrets.token_urlsafe(24),
        }
        algorithm = _algorithm(key)
        header = {"alg": algorithm, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
        return {
            "grant_type": "client_credentials",
            "scope": feed.scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": jwt.encode(header, claims, key, algorithms=[algorithm]),
        }

    def _kept(self, feed: FhirFeed, answer: httpx.Response) -> str:
        body = _object(answer, "the authorization server's answer")
        value, life = body.get("access_token"), body.get("expires_in", SHORTEST_SECONDS)
        if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
            raise NotAuthorized("the authorization server's answer has no access_token")
        seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) else SHORTEST_SECONDS
        self._known[feed.name] = _Token(value, self._clock() + seconds - min(EARLY_SECONDS, seconds / 2))
        return value


async def _discovered(client: httpx.AsyncClient, feed: FhirFeed) -> str:
    url = f"{str(feed.ask_at).rstrip('/')}{CONFIGURATION}"
    answer = await client.get(url, headers={"Accept": "application/json"})
    if answer.status_code != httpx.codes.OK:
        raise NotAuthorized(f"its smart-configuration answers {answer.status_code}; give token_url in the mapping file")
    found = _object(answer, "its smart-configuration").get("token_endpoint")
    if not isinstance(found, str) or not found.startswith(("https://", "http://")):
        raise NotAuthorized("its smart-configuration has no token_endpoint; give token_url in the mapping file")
    return found


async def _keys(feed: FhirFeed) -> list[Key]:
    """The private keys of the file, as it is now."""
    try:
        found = KeySet.import_key_set(json.loads(await _text(str(feed.key_file), "key_file")))
        usable = [key for key in found.keys if isinstance(key, RSAKey | ECKey) and key.is_private]
    except (ValueError, KeyError, TypeError):
        raise NotAuthorized("key_file: not a JWK set") from None
    if not usable:
        raise NotAuthorized("key_file: no private key of RSA or of an elliptic curve")
    return list(usable)


def _algorithm(key: Key) -> str:
    stated = key.get("alg")
    if isinstance(stated, str) and stated:
        return stated
    return "RS384" if isinstance(key, RSAKey) else CURVES.get(str(key.get("crv")), "ES384")


async def _text(path: str, what: str) -> str:
    try:
        return await asyncio.to_thread(Path(path).read_text)
    except OSError as error:
        raise NotAuthorized(f"{what}: cannot be read ({type(error).__name__})") from None


def _object(answer: httpx.Response, what: str) -> dict[str, Any]:
    try:
        body = answer.json() if len(answer.content) <= LARGEST else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotAuthorized(f"{what} is no JSON object")
    return body
