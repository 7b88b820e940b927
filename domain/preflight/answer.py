"""The result of preflight. It names rules, documents, days and amounts, never the patient."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class JudgedGate(_Answer):
    """A stage's entry on its judged or planned day. `open`: no requirement known today holds it."""

    gate: str
    on: date
    open: bool


class Missing(_Answer):
    """One unmet requirement. One that holds several gates is listed once, for the first of them."""

    requirement: str
    gate: str
    on: date
    enforcement: str
    owner: str
    missing: str
    fix: str
    rule: str
    citation: str
    denial: int | None


class RiskedDenial(_Answer):
    """One of the twelve denials at risk by missing requirements. `holds` is false where they only warn."""

    number: int
    title: str
    cause: str
    fix: str
    holds: bool
    because: tuple[str, ...]


class RequestDocument(_Answer):
    """One document of the authorization checklist: whether it is on file, what is missing, and where it comes from."""

    number: int
    title: str
    present: bool
    lacking: tuple[str, ...]
    at_hand: tuple[str, ...]
    citation: str


class PlannedDate(_Answer):
    """A planned day, or the first and last of several."""

    what: str
    first: date
    last: date
    assumption: str


class Help(_Answer):
    """A patient assistance program for the coverage, with limits of income (percent of poverty level) and distance."""

    title: str
    condition: str
    check: str
    income_percent_fpl: int | None
    distance_miles: int | None
    citation: str


class Cost(_Answer):
    """One part of the cost stack in United States dollars.

    Attributes:
        amount: Medicare's amount for one unit; None where none is on file, and `basis` names what is paid instead.
        charge: this site's own price for the unit, from its site file.
        on: the day whose rows were read.
    """

    part: Literal["product", "stay", "add_on", "lymphodepletion", "reserve"]
    what: str
    code: str | None
    unit: str
    amount: Decimal | None
    charge: Decimal | None
    basis: str
    on: date
    assumption: str
    rule: str | None
    status: str | None


class Preflight(_Answer):
    """The whole result. `cleared`: no requirement holds a collection on the judged day."""

    cleared: bool
    product: str
    indication: str
    payer: str
    payer_class: str
    authorization_required: bool
    judged_for: date
    gates: tuple[JudgedGate, ...]
    missing: tuple[Missing, ...]
    denials: tuple[RiskedDenial, ...]
    papers: tuple[RequestDocument, ...]
    dates: tuple[PlannedDate, ...]
    assistance: tuple[Help, ...]
    costs: tuple[Cost, ...]
    assumptions: tuple[str, ...]
    advisories: tuple[str, ...]
    edition: str
    rulebook_digest: str
