"""The answer of preflight. It names rules, papers, days and amounts, never who the patient is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class JudgedGate(_Answer):
    """A stage's entry on its judged or planned day. `open`: nothing that can be known today holds it."""

    gate: str
    on: date
    open: bool


class Missing(_Answer):
    """One unmet requirement. What holds several gates is said once, for the first of them."""

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
    """One of the twelve denials that the missing things invite. `holds` is false where they only warn."""

    number: int
    title: str
    cause: str
    fix: str
    holds: bool
    because: tuple[str, ...]


class Paper(_Answer):
    """One paper of the authorization checklist: whether it is at hand, what it lacks, and where it comes from."""

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
    """An assistance programme the coverage may use, with its limits of income (percent of the poverty level) and distance."""

    title: str
    condition: str
    check: str
    income_percent_fpl: int | None
    distance_miles: int | None
    citation: str


class Cost(_Answer):
    """One part of the cost stack in United States dollars.

    Attributes:
        amount: Medicare's amount for one unit; None where none is on file, and `basis` says what is paid instead.
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
    """The whole answer. `cleared` says that nothing which holds is missing for a collection on the judged day."""

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
    papers: tuple[Paper, ...]
    dates: tuple[PlannedDate, ...]
    assistance: tuple[Help, ...]
    costs: tuple[Cost, ...]
    assumptions: tuple[str, ...]
    advisories: tuple[str, ...]
    edition: str
    rulebook_digest: str
