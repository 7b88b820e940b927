"""The access file (TOML): callers by token, senders that sign, identity providers, and their rights."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from activities.alerting.signing import read_secret
from app.api.access import Access, AccessError, text_of
from app.api.actors import BURST, MAX_BODY, MAX_EVENTS, REQUESTS_PER_SECOND, Actor, Limits
from app.api.issuers import DEFAULT_ALGORITHMS, Algorithm, Client, Issuer
from app.api.jwks import FileKeys, Keys, UrlKeys
from app.api.roles import Role
from app.api.webhooks import Webhook

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:@/-]{0,59}$")]
"""Name of a caller in audit, metrics and mapping file."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Limited(_Strict):
    requests_per_second: Annotated[float, Field(gt=0)] = REQUESTS_PER_SECOND
    burst: Annotated[float, Field(ge=1)] = BURST
    max_request_bytes: Annotated[int, Field(ge=1024, le=MAX_BODY)] = MAX_BODY
    max_batch_events: Annotated[int, Field(ge=1)] = MAX_EVENTS

    @property
    def limits(self) -> Limits:
        return Limits(self.requests_per_second, self.burst, self.max_request_bytes, self.max_batch_events)


class _Part(_Limited):
    name: Name
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    facilities: frozenset[str] | None = None
    sources: Annotated[frozenset[str], Field(min_length=1)] | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.name, self.roles, self.facilities, self.limits, self.sources)


class _Caller(_Part):
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Sender(_Part):
    secret_file: str


class _Client(_Part):
    subject: Annotated[str, Field(min_length=1)]


class _Issuer(_Limited):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    issuer: Annotated[str, Field(min_length=1)]
    audiences: Annotated[frozenset[str], Field(min_length=1)]
    jwks_url: str | None = None
    jwks_file: str | None = None
    algorithms: Annotated[frozenset[Algorithm], Field(min_length=1)] = DEFAULT_ALGORITHMS
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    roles_claim: str = "roles"
    facilities_claim: str = "facilities"
    person_claim: str = "sub"
    roles: Mapping[str, Annotated[frozenset[Role], Field(min_length=1)]] = Field(default_factory=dict)
    facilities: Mapping[str, frozenset[str]] | None = None
    every_facility: bool = False
    clients: tuple[_Client, ...] = ()

    @field_validator("jwks_url")
    @classmethod
    def _is_guarded(cls, value: str | None) -> str | None:
        """Requires https, since keys over plain http could be forged."""
        if value is not None:
            address = urlsplit(value)
            local = address.scheme == "http" and address.hostname in LOCAL_HOSTS
            if not (local or (address.scheme == "https" and address.hostname)):
                raise ValueError("must be an https URL; http only on this machine")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> _Issuer:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give either jwks_url or jwks_file")
        if self.roles and (self.facilities is None) != self.every_facility:
            raise ValueError("give either facilities (facilities by claim value) or every_facility = true")
        if not self.roles and not self.clients:
            raise ValueError("give a table of roles or a list of clients")
        return self

    def built(self, directory: Path) -> Issuer:
        return Issuer(
            name=self.name,
            issuer=self.issuer,
            audiences=self.audiences,
            keys=self._keys(directory),
            roles=self.roles,
            facilities=None if self.every_facility else (self.facilities or {}),
            algorithms=self.algorithms,
            leeway=self.leeway_seconds,
            roles_claim=self.roles_claim,
            facilities_claim=self.facilities_claim,
            person_claim=self.person_claim,
            clients=tuple(Client(client.subject, client.actor) for client in self.clients),
            limits=self.limits,
        )

    def _keys(self, directory: Path) -> Keys:
        if self.jwks_url is not None:
            return UrlKeys(self.jwks_url)
        path = directory / str(self.jwks_file)
        try:
            return FileKeys(path)
        except OSError as error:
            raise AccessError(f"{path.name} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise AccessError(f"{path.name}: {error}") from None


class _AccessFile(_Strict):
    callers: tuple[_Caller, ...] = ()
    webhooks: tuple[_Sender, ...] = ()
    issuers: tuple[_Issuer, ...] = ()

    @property
    def names(self) -> list[str]:
        parts = [*self.callers, *self.webhooks, *(client for issuer in self.issuers for client in issuer.clients)]
        return [part.name for part in parts] + [issuer.name for issuer in self.issuers]


def read_access_file(path: Path) -> Access:
    """Returns the callers of an access file.

    Raises:
        AccessError: the file cannot be read or is not valid; the message names every problem.
    """
    return parse_access(text_of(path), path.parent)


def files_of(path: Path) -> tuple[Path, ...]:
    """Returns the access file and its secret files; key sets are watched separately.

    Raises:
        AccessError: the file cannot be read or is not valid.
    """
    named = (sender.secret_file for sender in _parsed(text_of(path)).webhooks)
    return (path, *(path.parent / name for name in named))


def parse_access(text: str, directory: Path) -> Access:
    """Returns the callers of an access file's text; secret and key files are relative to its directory.

    Raises:
        AccessError: the text is not valid; the message names every problem and no secret.
    """
    parsed = _parsed(text)
    if not parsed.names:
        raise AccessError("the access file has no callers; add a caller, a webhook or an issuer")
    twice = sorted({name for name in parsed.names if parsed.names.count(name) > 1})
    if twice:
        raise AccessError(f"{', '.join(twice)} is used twice in the access file; give every caller its own name")
    tokens = [caller.token_sha256 for caller in parsed.callers]
    if len(set(tokens)) < len(tokens):
        raise AccessError("two callers have the same token; give every caller its own")
    addresses = [issuer.issuer for issuer in parsed.issuers]
    if len(set(addresses)) < len(addresses):
        raise AccessError("two issuers have the same address; combine their tables")
    return Access(
        {caller.token_sha256: caller.actor for caller in parsed.callers},
        [(sender.actor, Webhook(_secrets(directory / sender.secret_file))) for sender in parsed.webhooks],
        [issuer.built(directory) for issuer in parsed.issuers],
        configured=True,
    )


def _parsed(text: str) -> _AccessFile:
    try:
        read = tomllib.loads(text)
        return _AccessFile.model_validate(read)
    except tomllib.TOMLDecodeError as error:
        raise AccessError(f"the access file is not TOML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise AccessError("; ".join(f"{_place(read, e['loc'])}: {e['msg']}" for e in found)) from None


def _place(value: Any, steps: Iterable[int | str]) -> str:
    """Returns the place of a problem; entries by name or subject, else by number from 1."""
    place = ""
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
        if isinstance(step, int):
            own = [value.get(key) for key in ("name", "subject")] if isinstance(value, dict) else []
            place += f"[{next((name for name in own if isinstance(name, str) and name), f'number {step + 1}')}]"
        else:
            place += f".{step}" if place else step
    return place


def _secrets(path: Path) -> tuple[bytes, ...]:
    """Returns the secrets of a file, one per line; both are valid during a change."""
    try:
        return tuple(read_secret(line) for line in text_of(path).split()) or (read_secret(""),)
    except ValueError as error:
        raise AccessError(f"secret file {path.name}: {error}") from None
