"""Where alerts are sent: the destinations file of an installation (TOML), webhooks and Alertmanagers."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError, model_validator

from activities.alerting.signing import read_secret
from domain.alerts.model import Severity
from store.tables import AlertRecord

REPEAT_EVERY = timedelta(minutes=15)
"""Alertmanager forgets alerts that are not repeated: every open alert is sent once in this time, as Prometheus does."""

EXPIRES_AFTER = 4 * REPEAT_EVERY
"""How long Alertmanager keeps an alert that is not repeated."""

Severities = frozenset[Literal["critical", "warning", "info"]]


class DestinationsError(ValueError):
    """The file cannot be used; the message names the field and its fix."""


class Destination(BaseModel):
    """One destination of alerts.

    Attributes:
        severities: the severities it receives.
        owners: the owners whose alerts it receives; all if absent.
        secret: signs the body of a webhook.
        bearer: sent as `Authorization: Bearer`.
        give_up_hours: after this time an undelivered message becomes a dead letter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    kind: Literal["webhook", "alertmanager"]
    url: AnyHttpUrl
    severities: Severities = frozenset({"critical", "warning"})
    owners: frozenset[str] | None = None
    secret: bytes | None = Field(default=None, repr=False)
    bearer: str | None = Field(default=None, repr=False)
    give_up_hours: Annotated[float, Field(gt=0, le=720)] = 24

    @model_validator(mode="after")
    def _a_webhook_is_signed(self) -> Destination:
        if self.kind == "webhook" and self.secret is None:
            raise ValueError("a webhook needs secret_file: `whsec_` and base64 of at least 24 bytes")
        return self

    @property
    def repeats(self) -> bool:
        """Whether open alerts are sent repeatedly."""
        return self.kind == "alertmanager"

    def receives(self, alert: AlertRecord) -> bool:
        return Severity(alert.severity).value in self.severities and (self.owners is None or alert.owner in self.owners)


class Destinations(BaseModel):
    """The complete file. `board` is the address of the board, for links in messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    board: AnyHttpUrl | None = None
    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Destinations:
        names = [each.name for each in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError("two destinations have the same name")
        return self

    def link(self, encounter: str | None) -> str | None:
        """Return the address of an encounter's page on the board."""
        return f"{str(self.board).rstrip('/')}/encounters/{encounter}" if self.board and encounter else None


NOWHERE = Destinations()


def read_destinations(path: Path | None) -> Destinations:
    """Return the destinations of a file; none without a file.

    Raises:
        DestinationsError: it cannot be read or does not fit; every problem is named, no secret is.
    """
    if path is None:
        return NOWHERE
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DestinationsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DestinationsError(f"{path}: not TOML: {error}") from None
    for each in body.get("destinations", ()):
        if isinstance(each, dict):
            _read_files(each, path.parent)
    try:
        return Destinations.model_validate(body)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors())
        raise DestinationsError(f"{path}: {problems}") from None


def _read_files(entry: dict[str, object], directory: Path) -> None:
    """Replace the file names of secrets in the entry by the secrets."""
    if "secret" in entry or "bearer" in entry:
        raise DestinationsError("a secret belongs in a file of its own: write secret_file or bearer_file")
    for named, field in (("secret_file", "secret"), ("bearer_file", "bearer")):
        if named not in entry:
            continue
        file = directory / str(entry.pop(named))
        try:
            text = file.read_text(encoding="utf-8").strip()
            entry[field] = read_secret(text) if field == "secret" else text
        except OSError as error:
            raise DestinationsError(f"{named} {file}: {error.strerror}") from None
        except ValueError as error:
            raise DestinationsError(f"{named} {file}: {error}") from None
