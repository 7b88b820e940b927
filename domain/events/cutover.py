"""Cutover: an encounter that began in another system is imported, with the claims billed there."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from domain.events.base import EventData, FacilityKey, Money, Prose, Reference, Setting, Stage, Strict, Zoned
from domain.events.revenue import ClaimLetter

CutoverStage = Literal[Stage.APHERESIS, Stage.MANUFACTURING, Stage.LYMPHODEPLETION, Stage.INFUSION, Stage.MONITORING]


class BilledElsewhere(Strict):
    """A claim that another system sent before the cutover.

    Attributes:
        number: that system's claim number; `payer_number` the payer's own.
        state: voided: the payer's record of it is cancelled, so its services are billed here.
    """

    letter: ClaimLetter
    number: Reference
    payer_number: Reference | None = None
    facility: FacilityKey
    setting: Setting
    statement_from: date
    statement_through: date
    total: Annotated[Money, Field(ge=0)]
    state: Literal["billed", "paid", "denied", "voided"] = "billed"

    @model_validator(mode="after")
    def _ordered(self) -> BilledElsewhere:
        if self.statement_through < self.statement_from:
            raise ValueError("statement_through is before statement_from")
        return self

    def bills(self, day: date) -> bool:
        """Whether its statement includes the day; a voided claim bills nothing."""
        return self.state != "voided" and self.statement_from <= day <= self.statement_through


class EncounterImported(EventData):
    """The encounter is imported to this system at `at`.

    What happened before is attested by `attested_by` and comes as ordinary events under the same `source` as this one.
    Stages before `stage` are over: nothing of them is required. `billed` lists every claim sent by another system;
    `not_billed` the letters whose earlier services were not billed, so that they are billed here. A service before the
    cutover that neither covers holds its claim.
    """

    event_type: ClassVar[str] = "cart.encounter.imported"
    occurred_field: ClassVar[str] = "at"

    at: Zoned
    stage: CutoverStage
    system: Prose
    attested_by: Reference
    role: Prose
    billed: tuple[BilledElsewhere, ...] = ()
    not_billed: tuple[ClaimLetter, ...] = ()

    @model_validator(mode="after")
    def _billed_before(self) -> EncounterImported:
        late = [one for one in self.billed if one.statement_from > self.at.date() + timedelta(days=1)]
        if late:
            raise ValueError("billed names a claim whose services begin after at; such services are billed here")
        numbers = [one.number for one in self.billed]
        if len(numbers) != len(set(numbers)):
            raise ValueError("billed names one claim number twice")
        return self
