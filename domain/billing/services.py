"""A bundle: the documented services that one claim carries, before anything is coded."""

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
    """Services of one claim.

    Attributes:
        stage: the stage of the services, which names form and type of bill (G283-290).
        day: the day the claim is about: first service, or discharge once it is known.
        stay: the inpatient stay that carries the claim, where there is one.
        toxicities: the assessments that are coded on this claim.
        waiting: what has to come before the claim is due, in plain words.
        folded: why services stand here that were given elsewhere or another day, for the biller.
        elsewhere: claims that another system sent before a cutover and that bill services which would stand here.
        unrelated: the papers that attest that outpatient services before a stay have nothing to do with it.
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
