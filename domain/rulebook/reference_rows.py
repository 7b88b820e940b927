"""Rows about patient assistance and the maintenance of the rulebook."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.rulebook.row import ANY, Row


class Assistance(Row):
    """A patient assistance program (G420-425). `manufacturers` empty: for every manufacturer."""

    table = "assistance"
    match_on = ("key",)

    key: str
    title: str
    payer_classes: tuple[str, ...]
    condition: str
    check: str
    indication: str = ANY
    manufacturers: tuple[str, ...] = ()
    income_percent_fpl: int | None = None
    distance_miles: int | None = None


class Guideline(Row):
    """A guideline category (G365-367)."""

    table = "guidelines"
    match_on = ("product", "indication")

    product: str
    indication: str
    title: str
    category: str


class Refresh(Row):
    """How often a kind of row is reviewed and what triggers it (G547-556)."""

    table = "refreshes"
    match_on = ("element",)

    element: str
    cadence: str
    trigger: str
    tables: tuple[str, ...]


class Correction(Row):
    """A difference between the guide and the official sources, and what is done about it.

    Attributes:
        number: as the corrections count them (`B5`).
        evidence: official (tables CMS publishes), page (a public page that was read), knowledge (not confirmed), guide (its own
            text), decision (of this project).
        decision: what applies where no row can hold it.
    """

    table = "corrections"
    match_on = ("number",)

    number: str
    subject: str
    guide_says: str
    current_says: str
    evidence: tuple[Literal["official", "page", "knowledge", "guide", "decision"], ...] = Field(min_length=1)
    decision: str = ""
