"""A claim that is being built: lines, diagnoses and codes, the rows they cite, and look-ups without an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from domain.billing.context import BillingContext
from domain.billing.model import CodedValue, Diagnosis, Form, FormField, Procedure, Reason
from domain.billing.services import ClaimServices
from domain.encounter.record import Stay
from domain.rulebook import AmbiguousRule, NoRule
from domain.rulebook.rows import Code, DrugCode, FormLocation, PlaceOfService, Policy, Row

_CODED = (Code, DrugCode)


@dataclass
class LineDraft:
    """A line before it is priced and numbered. `hcpcs` is the code; `printed` is False where the form does not show it."""

    service: str
    on: date
    units: int
    revenue_code: str | None
    hcpcs: str | None
    description: str
    reason: Reason
    printed: bool = True
    modifiers: tuple[str, ...] = ()
    measure: Literal["UN", "DA", "MJ"] = "UN"
    ndc: str | None = None
    ndc_quantity: Decimal | None = None
    ndc_unit: str | None = None
    given_mg: Decimal | None = None
    wasted_mg: Decimal | None = None
    charge: Decimal | None = None
    posted: tuple[str, ...] = ()


@dataclass
class Draft:
    """One claim that is being built. Row look-ups go through it, so that the claim cites every row it uses."""

    context: BillingContext
    services: ClaimServices
    lines: list[LineDraft] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    procedures: list[Procedure] = field(default_factory=list)
    codes: list[CodedValue] = field(default_factory=list)
    fields: list[FormField] = field(default_factory=list)
    cited: dict[str, Row] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    place: PlaceOfService | None = None

    @contextmanager
    def section(self) -> Iterator[None]:
        """A part of the claim. Where the rulebook has no row for it, the part is left out and an edit holds the claim."""
        try:
            yield
        except (NoRule, AmbiguousRule) as error:
            self.problems.append(str(error))

    def cite(self, row: Row) -> None:
        self.cited.setdefault(row.id, row)

    def code(self, role: str, on: date, **narrow: str) -> Code:
        row = self.context.code(role, on, **narrow)
        self.cite(row)
        return row

    def policy(self, key: str, on: date) -> Policy:
        row = self.context.policy(key, on, self.services.facility)
        self.cite(row)
        return row

    def location(self, value: str, on: date) -> FormLocation:
        form = self.place.form if self.place else "UB-04"
        return self.context.one(FormLocation, on, form=form, value=value)

    def reason_from(self, row: Row, text: str, *events: str) -> Reason:
        """A reason that cites the row."""
        self.cite(row)
        return Reason(rule=row.id, citation=row.citation, events=events, text=text)

    @property
    def stay(self) -> Stay | None:
        return self.services.stay

    @property
    def professional(self) -> bool:
        """True for a CMS-1500."""
        return self.place is not None and Form(self.place.form) is Form.CMS1500

    @property
    def inpatient(self) -> bool:
        return self.services.inpatient

    @property
    def coding_day(self) -> date:
        """The day that picks diagnosis and procedure codes: discharge of a stay, else the first service."""
        if self.stay:
            return self.context.discharged_on(self.stay) or self.context.admitted_on(self.stay)
        return self.services.first

    @property
    def advisories(self) -> tuple[str, ...]:
        """Notes for the biller: where the claim differs from the guide or the official code sets, and what is not confirmed."""
        return tuple(dict.fromkeys(text for row in self.cited.values() for text in _spoken(row)))

    @property
    def doubts(self) -> tuple[Row, ...]:
        """The cited code rows that are not confirmed."""
        return tuple(row for row in self.cited.values() if isinstance(row, _CODED) and row.status == "unconfirmed")


def _spoken(row: Row) -> Iterable[str]:
    if row.note and row.edition != "both":
        yield f"{row.note} [{row.id}]"
    if row.doubt and (row.status == "unconfirmed" or row.edition != "both"):
        yield f"Not confirmed: {row.doubt} [{row.id}]"
