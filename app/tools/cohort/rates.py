"""The rates of a synthetic cohort, with their sources."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ANY = "*"


class _Cited(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: tuple[str, ...] = Field(min_length=1)
    status: Literal["guide", "verified", "assumption"]
    note: str = ""


class Path(_Cited):
    """One kind of encounter: its feed and its weight. `onset` fixes the first day of toxicity."""

    template: str
    indication: str
    weight: int
    onset: int | None = None


class Share(_Cited):
    """A share between 0 and 1."""

    key: str
    indication: str
    value: Annotated[float, Field(ge=0, le=1)]


class Span(_Cited):
    """A span of days, both ends included."""

    key: str
    days: tuple[int, int]


class PayerShare(_Cited):
    """A payer of the rulebook: weight, ages of members and pattern of member numbers."""

    key: str
    indication: str
    weight: int
    ages: tuple[int, int]
    member: str


class Names(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    family: tuple[str, ...]
    given: tuple[str, ...]


class Rates(BaseModel):
    """All rates of a cohort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paths: tuple[Path, ...]
    shares: tuple[Share, ...]
    spans: tuple[Span, ...]
    payers: tuple[PayerShare, ...]
    names: Names

    def share(self, key: str, indication: str) -> float:
        """Returns the share of a key for an indication.

        Raises:
            KeyError: there is no row.
        """
        for each in self.shares:
            if each.key == key and each.indication in (indication, ANY):
                return each.value
        raise KeyError(f"no share {key} for {indication}")

    def span(self, key: str) -> tuple[int, int]:
        """Returns first and last day of a span.

        Raises:
            KeyError: there is no row.
        """
        for each in self.spans:
            if each.key == key:
                return each.days
        raise KeyError(f"no span {key}")

    def payers_of(self, indication: str) -> tuple[PayerShare, ...]:
        return tuple(each for each in self.payers if each.indication in (indication, ANY))


def read_rates() -> Rates:
    """Returns the packaged rates."""
    return Rates.model_validate(tomllib.loads((files("app.tools.cohort") / "rates.toml").read_text(encoding="utf-8")))
