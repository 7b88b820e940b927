"""The common columns of rulebook rows: dates, source, status and refresh cadence."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ANY = "*"
"""In a key column: the row applies to every value of it. A row with the value has priority over one with `*`."""

Edition = Literal["current", "guide"]
Status = Literal["guide", "verified", "contradicted", "unconfirmed"]
Cadence = Literal["quarterly", "semi-annual", "annual", "event-driven", "fixed"]


class Row(BaseModel):
    """Common columns.

    Attributes:
        id: unique in the rulebook, `<table>.<name>`; lines, holds and alerts cite it.
        edition: both, or the one edition the row belongs to.
        effective_from: first date of service (or discharge) it applies to; inclusive.
        effective_to: last such date; None while it is in effect.
        source: G lines (`G124`), corrections (`corrections B7`) or official pages; shown by `explain` and `rules`.
        cite: the same as a nurse or biller would cite it ("42 CFR 401.305"); empty where no such source is known.
        status: guide (as printed), verified, contradicted (the guide's value, kept for comparison), unconfirmed.
        reviewed: the day the row was last checked; with `refresh` it decides when the row is stale.
        doubt: what is not certain about an unconfirmed row, written for the biller.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: ClassVar[str]
    match_on: ClassVar[tuple[str, ...]]

    id: str
    edition: Literal["both", "current", "guide"] = "both"
    effective_from: date
    effective_to: date | None = None
    source: tuple[str, ...] = Field(min_length=1)
    cite: str = ""
    status: Status
    refresh: Cadence
    reviewed: date = date(2026, 5, 22)
    note: str = ""
    doubt: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Row:
        if self.effective_to and self.effective_to < self.effective_from:
            raise ValueError("effective_to is before effective_from")
        return self

    def holds_on(self, day: date) -> bool:
        """True on every day of the row's validity, ends included."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)

    @property
    def citation(self) -> str:
        return ", ".join(self.source)
