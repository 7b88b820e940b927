"""The documented services of one claim, before coding."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from domain.billing.model import Letter
from domain.encounter.facts import Fact
from domain.encounter.record import Infusion, Stay
from domain.events.care import LymphodepletionAdministered, MedicationAdministered, ToxicityAssessed
from domain.events.cells import ApheresisCompleted
from domain.events.cutover import BilledElsewhere


@dataclass(frozen=True, slots=True)
class ClaimServices:
    """The services of one claim.

    Attributes:
        stage: the stage of the services, which decides form and type of bill (G283-290).
        day: the day the claim is about: first service, or discharge once it is known.
        stay: the inpatient stay that the claim bills, where there is one.
        toxicities: the assessments that are coded on this claim.
        waiting: what must be documented before the claim is due, in plain words.
        folded: why services given elsewhere or on another day are on this claim, for the biller.
        elsewhere: claims that another system sent before a cutover and that bill services of this claim.
        unrelated: attestations that outpatient services before a stay are unrelated to it.
    """

    letter: Letter
    stage: str
    setting: str
    facility: str
    stay: Stay | None = None
    ordinal: int = 1
    collections: tuple[Fact[ApheresisCompleted], ...] = ()
    doses: tuple[Fact[LymphodepletionAdministered], ...] = ()
    infusions: tuple[Infusion, ...] = ()
    medications: tuple[Fact[MedicationAdministered], ...] = ()
    toxicities: tuple[Fact[ToxicityAssessed], ...] = ()
    waiting: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    unrelated: tuple[str, ...] = ()
    elsewhere: tuple[BilledElsewhere, ...] = ()
    first: date = field(default=date.min)

    @property
    def inpatient(self) -> bool:
        return self.setting == "inpatient"

    @property
    def given(self) -> tuple[Infusion, ...]:
        """Infusions in which cells went into the patient."""
        return tuple(i for i in self.infusions if i.given and i.last.data.cells_infused != 0)
