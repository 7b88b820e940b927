"""Tokens of an identity provider (OAuth 2 / OpenID Connect, RFC 9068): verified with its keys, claims mapped to rights.

An access token must have issuer, audience and expiration. The access file maps the values of its claims to roles and
facilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwk import GuestProtocol, Key
from joserfc.jws import JWSRegistry

from app.api.actors import BURST, REQUESTS_PER_SECOND, Actor, Limits, Login
from app.api.jwks import Keys
from app.api.roles import Role
from store.keys import Keyring
from store.vault import PSEUDONYM_LENGTH, PSEUDONYM_PREFIX

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signature algorithms with public keys; shared secrets and `none` are not allowed."""

DEFAULT_ALGORITHMS: Final[frozenset[Algorithm]] = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
EVERY: Final = "*"
LONGEST_CLAIM = 200


class BadToken(ValueError):
    """A token that is not valid; the message has the reason and no part of the token, and may be sent."""


class _Registry(JWSRegistry):
    # Providers put digests of certificates into the header.
    max_header_length = 4096


@dataclass(frozen=True, slots=True)
class Client:
    """A program with a subject at the issuer, and its caller here."""

    subject: str
    actor: Actor


@dataclass(frozen=True, slots=True)
class Issuer:
    """One identity provider with the mapping of its claims.

    Attributes:
        roles: maps a value of the roles claim to roles.
        facilities: maps a value of the facilities claim to facilities; `*` means all. None gives all to every caller.
        leeway: allowed difference of clocks in seconds.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    keys: Keys
    roles: Mapping[str, frozenset[Role]]
    facilities: Mapping[str, frozenset[str]] | None
    algorithms: frozenset[Algorithm] = DEFAULT_ALGORITHMS
    leeway: int = 60
    roles_claim: str = "roles"
    facilities_claim: str = "facilities"
    person_claim: str = "sub"
    clients: Sequence[Client] = ()
    limits: Limits = field(default_factory=lambda: Limits(REQUESTS_PER_SECOND, BURST))

    def login(self, token: str, now: datetime, keys: Keyring) -> Login:
        """Returns the caller of a token of this issuer, and its expiration.

        Raises:
            BadToken: the token is not valid; the message has the reason.
            KeysAway: the token cannot be verified now.
        """
        claims = self._claims(token, now)
        kept = {"sub": claims["sub"], **{name: _claim(claims, name) for name in self._kept}}
        until = datetime.fromtimestamp(claims["exp"], UTC)
        return Login(self.actor(kept, keys), until, {"issuer": self.name, "claims": kept})

    @property
    def _kept(self) -> frozenset[str]:
        return frozenset({self.roles_claim, self.facilities_claim, self.person_claim})

    def actor(self, claims: Mapping[str, Any], keys: Keyring) -> Actor:
        """Returns the caller of the claims. A person gets a pseudonym; the name is in the vault."""
        subject = str(claims["sub"])
        for client in self.clients:
            if client.subject == subject:
                return client.actor
        roles = {role for value in _values(claims, self.roles_claim) for role in self.roles.get(value, ())}
        shown = next(iter(_values(claims, self.person_claim)), subject)
        pseudonym = PSEUDONYM_PREFIX + keys.digest("staff", self.issuer, subject)[:PSEUDONYM_LENGTH]
        return Actor(
            pseudonym,
            frozenset(roles),
            self._facilities(claims),
            self.limits,
            person=f"{_plain(shown)} ({self.name}: {_plain(subject)})",
        )

    def _facilities(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        if self.facilities is None:
            return None
        named = _values(claims, self.facilities_claim)
        found = frozenset(one for value in named for one in self.facilities.get(value, ()))
        return None if EVERY in found else found

    def _claims(self, token: str, now: datetime) -> dict[str, Any]:
        try:
            read = jwt.decode(
                token, self._key, registry=_Registry(algorithms=self.algorithms, strict_check_header=False)
            )
            self._check(read.claims, now)
        except BadToken:
            raise
        except ExpiredTokenError:
            raise BadToken("the token has expired") from None
        except MissingClaimError as error:
            raise BadToken(f"the token is missing the claim {error.claim}") from None
        except InvalidClaimError as error:
            raise BadToken(_wrong(error.claim)) from None
        except (JoseError, ValueError, TypeError):
            raise BadToken("the token is not signed by a key of its issuer, or not by an accepted algorithm") from None
        return read.claims

    def _key(self, unverified: GuestProtocol) -> Key:
        header = unverified.headers()
        if str(header.get("typ", "JWT")).lower() not in TYPES:
            raise BadToken("the token is not an access token")
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise BadToken("the token has no valid key ID")
        key = self.keys.find(kid)
        if key is None:
            raise BadToken("the token has a key ID that its issuer does not publish")
        return key

    def _check(self, claims: Mapping[str, Any], now: datetime) -> None:
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=self.leeway,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "values": sorted(self.audiences)},
            sub={"essential": True},
            exp={"essential": True},
        )
        registry.validate(dict(claims))
        if not math.isfinite(claims["exp"]) or not 0 < claims["exp"] < 2**40:
            raise InvalidClaimError("exp")
        if "cnf" in claims:
            # Tokens bound to a key (DPoP, mutual TLS) are refused, since the key is not verified here.
            raise BadToken("the token is bound to a key of its holder; use a bearer token")


def _wrong(claim: str) -> str:
    known = {
        "iss": "the token is from another issuer",
        "aud": "the token is meant for another audience",
        "nbf": "the token is not valid yet",
        "iat": "the token was issued in the future; check the clocks",
    }
    return known.get(claim, f"the claim {claim} of the token is not valid")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Returns a claim by name, else by path (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """Returns the values of a claim: the texts of a list, or a text and its words (`scope`)."""
    value = claims.get(name)
    if isinstance(value, str):
        return list(dict.fromkeys([value, *value.split()]))
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _plain(text: str) -> str:
    """Returns printable text of limited length, for the audit."""
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_CLAIM]
