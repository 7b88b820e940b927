"""The encounter's record: facts folded into stays, collections, authorizations and other records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from domain.encounter.facts import Fact, Facts
from domain.encounter.stays import Appointment as Appointment
from domain.encounter.stays import Stay as Stay
from domain.encounter.stays import appointments, stays, unbegun
from domain.events import access, care, cells, cutover, governance, revenue
from domain.events.access import BookableStage
from domain.events.base import Setting

PRODUCT_PLAN = frozenset({"product", "indication"})
"""The fields of a plan that state which product is given to whom."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A prior authorization with the payer's last decision on it."""

    number: str
    decision: access.AuthorizationDecision | None
    valid_from: date | None
    valid_to: date | None
    product: str | None
    replaces: str | None
    submitted_at: datetime | None
    decided_at: datetime | None
    events: tuple[str, ...]

    def covers(self, on: date) -> bool:
        """Whether it is approved and valid on the day; first and last day included."""
        return (
            self.decision is access.AuthorizationDecision.APPROVED
            and self.valid_from is not None
            and self.valid_to is not None
            and self.valid_from <= on <= self.valid_to
        )


@dataclass(frozen=True, slots=True)
class Infusion:
    """The course of one bag at the bedside. `outcome` is started, stopped or completed."""

    bag_id: str
    outcome: str
    started_at: datetime
    ended_at: datetime | None
    facility: str
    setting: Setting
    access: str
    last: Fact[care._Infusion]
    events: tuple[str, ...]

    @property
    def given(self) -> bool:
        """Whether cells were infused: completed, or stopped after the start."""
        return self.outcome in ("completed", "stopped")


@dataclass(frozen=True)
class Record:
    """Everything known about one encounter. Pure view of `facts`; every property is computed once."""

    facts: Facts

    @cached_property
    def referral(self) -> Fact[access.ReferralReceived] | None:
        """The latest referral; None until it arrives (a booking may come first)."""
        return self.facts.last(access.ReferralReceived)

    @cached_property
    def cutover(self) -> Fact[cutover.EncounterImported] | None:
        """The import of an encounter from another system; None if the encounter began here."""
        return self.facts.last(cutover.EncounterImported)

    @cached_property
    def attested(self) -> frozenset[str]:
        """The imported events from before the cutover: attested, not observed."""
        return attested(self.facts)

    @cached_property
    def product(self) -> str | None:
        return self._planned("product") or (self.referral.data.product if self.referral else None)

    @cached_property
    def indication(self) -> str | None:
        return self._planned("indication") or (self.referral.data.indication if self.referral else None)

    @cached_property
    def payer(self) -> str | None:
        return self.referral.data.coverage.payer if self.referral else None

    @cached_property
    def facilities(self) -> access.Facilities | None:
        planned = self._planned("facilities")
        if isinstance(planned, access.Facilities):
            return planned
        return self.referral.data.facilities if self.referral else None

    @cached_property
    def planned_setting(self) -> Setting | None:
        planned = self._planned("planned_setting")
        return (
            planned if isinstance(planned, Setting) else (self.referral.data.planned_setting if self.referral else None)
        )

    def _planned(self, name: str):  # type: ignore[no-untyped-def]
        changes = [fact for fact in self.facts.of(governance.PlanChanged) if getattr(fact.data, name) is not None]
        if name in PRODUCT_PLAN:
            changes = [fact for fact in changes if fact not in self.late_plans]
        return getattr(changes[-1].data, name) if changes else None

    @cached_property
    def late_plans(self) -> tuple[Fact[governance.PlanChanged], ...]:
        """Plans for a product or indication made after cells were infused: what was infused does not change."""
        given = min((infusion.started_at for infusion in self.given), default=None)
        return tuple(
            fact
            for fact in self.facts.of(governance.PlanChanged)
            if given is not None and fact.occurred > given and (fact.data.product or fact.data.indication)
        )

    @cached_property
    def switches(self) -> tuple[Fact[governance.PlanChanged], ...]:
        """The plans that changed the product."""
        found: list[Fact[governance.PlanChanged]] = []
        product = self.referral.data.product if self.referral else None
        for fact in self.facts.of(governance.PlanChanged):
            if fact.data.product is None or fact in self.late_plans:
                continue
            if product is not None and fact.data.product != product:
                found.append(fact)
            product = fact.data.product
        return tuple(found)

    @cached_property
    def transfer(self) -> Fact[governance.PlanChanged] | None:
        """The last plan that moved the infusion to another center; None while the center of the referral is planned."""
        center = self.referral.data.facilities.infusion if self.referral else None
        moved = None
        for fact in self.facts.of(governance.PlanChanged):
            if fact.data.facilities is not None and fact.data.facilities.infusion != center:
                moved, center = fact, fact.data.facilities.infusion
        return moved

    @cached_property
    def evidence(self) -> tuple[tuple[access.EvidenceAdded, str], ...]:
        """Every document with its event, oldest first by the document's date."""
        found: list[tuple[access.EvidenceAdded, str]] = [
            (document, fact.event_id)
            for fact in self.facts.of(access.ReferralReceived)
            for document in fact.data.evidence
        ]
        found += [(fact.data, fact.event_id) for fact in self.facts.of(access.EvidenceAdded)]
        return tuple(sorted(found, key=lambda item: (item[0].dated, item[1])))

    def documents(self, *kinds: str) -> tuple[tuple[access.EvidenceAdded, str], ...]:
        """The documents of the given kinds, oldest first."""
        return tuple(item for item in self.evidence if getattr(item[0], "kind", None) in kinds)

    @cached_property
    def appointments(self) -> tuple[Appointment, ...]:
        """Every booking, in order of its time. A move or cancellation that arrives before its booking waits for it."""
        return tuple(sorted(appointments(self.facts), key=lambda a: (a.starts_at, a.id)))

    def booked(self, stage: BookableStage) -> tuple[Appointment, ...]:
        """The open bookings of a stage."""
        return tuple(a for a in self.appointments if a.stage is stage and a.status == "booked")

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """Every admission that was not cancelled, in order of its start."""
        return tuple(sorted(stays(self.facts), key=lambda s: (s.started_at, s.id)))

    @cached_property
    def unbegun(self) -> tuple[str, ...]:
        """Events that change or end a booking or a stay whose beginning was never reported."""
        return unbegun(self.facts)

    @cached_property
    def authorizations(self) -> tuple[Authorization, ...]:
        return tuple(sorted(_authorizations(self.facts), key=lambda a: (a.decided_at or a.submitted_at, a.number)))

    @cached_property
    def collections(self) -> tuple[Fact[cells.ApheresisCompleted], ...]:
        return self.facts.of(cells.ApheresisCompleted)

    @cached_property
    def failures(self) -> tuple[Fact[cells.ManufacturingFailed], ...]:
        return self.facts.of(cells.ManufacturingFailed)

    @cached_property
    def releases(self) -> tuple[Fact[cells.ProductReleased], ...]:
        return self.facts.of(cells.ProductReleased)

    @cached_property
    def lymphodepletion(self) -> tuple[Fact[care.LymphodepletionAdministered], ...]:
        return self.facts.of(care.LymphodepletionAdministered)

    @cached_property
    def custody(self) -> tuple[Fact[cells.CustodyRecorded], ...]:
        return self.facts.of(cells.CustodyRecorded)

    @cached_property
    def infusions(self) -> tuple[Infusion, ...]:
        """One entry per bag that reached the bedside, in order of its start."""
        return tuple(sorted(_infusions(self.facts), key=lambda i: (i.started_at, i.bag_id)))

    @property
    def given(self) -> tuple[Infusion, ...]:
        return tuple(infusion for infusion in self.infusions if infusion.given)

    @cached_property
    def toxicities(self) -> tuple[Fact[care.ToxicityAssessed], ...]:
        return self.facts.of(care.ToxicityAssessed)

    @cached_property
    def medications(self) -> tuple[Fact[care.MedicationAdministered], ...]:
        return self.facts.of(care.MedicationAdministered)

    @cached_property
    def charges(self) -> tuple[Fact[revenue.ChargePosted], ...]:
        """The current charges: the latest event of each charge_id."""
        latest = {fact.data.charge_id: fact for fact in self.facts.of(revenue.ChargePosted)}
        return tuple(latest.values())

    @cached_property
    def codings(self) -> tuple[Fact[revenue.CodingCompleted], ...]:
        return self.facts.of(revenue.CodingCompleted)

    @cached_property
    def withdrawal(self) -> Fact[governance.EncounterWithdrawn] | None:
        return self.facts.last(governance.EncounterWithdrawn)

    @cached_property
    def overrides(self) -> tuple[Fact[governance.HoldOverridden], ...]:
        return self.facts.of(governance.HoldOverridden)

    @cached_property
    def dispositions(self) -> tuple[Fact[cells.DispositionSigned], ...]:
        return self.facts.of(cells.DispositionSigned)

    @cached_property
    def aliases(self) -> frozenset[tuple[str, str]]:
        """Typed identifiers of the encounter that come from the facts: COI, DIN, bag, lot, admission, appointment."""
        return frozenset(_aliases(self.facts))


def _authorizations(facts: Facts) -> list[Authorization]:
    found: dict[str, Authorization] = {}
    for sent in facts.of(access.AuthorizationSubmitted):
        known = found.get(sent.data.number)
        found[sent.data.number] = Authorization(
            number=sent.data.number,
            decision=None,
            valid_from=None,
            valid_to=None,
            product=None,
            replaces=sent.data.replaces,
            submitted_at=sent.time,
            decided_at=None,
            events=(*(known.events if known else ()), sent.event_id),
        )
    for answer in facts.of(access.AuthorizationDecided):
        a = answer.data
        known = found.get(a.number)
        found[a.number] = Authorization(
            number=a.number,
            decision=a.decision,
            valid_from=a.valid_from,
            valid_to=a.valid_to,
            product=a.product,
            replaces=a.replaces or (known.replaces if known else None),
            submitted_at=known.submitted_at if known else None,
            decided_at=answer.time,
            events=(*(known.events if known else ()), answer.event_id),
        )
    return list(found.values())


_OUTCOMES: tuple[tuple[type[care._Infusion], str], ...] = (
    (care.InfusionStarted, "started"),
    (care.InfusionStopped, "stopped"),
    (care.InfusionCompleted, "completed"),
)


def _infusions(facts: Facts) -> list[Infusion]:
    by_bag: dict[str, Infusion] = {}
    for model, outcome in _OUTCOMES:
        for fact in facts.of(model):
            known = by_bag.get(fact.data.bag_id)
            by_bag[fact.data.bag_id] = Infusion(
                bag_id=fact.data.bag_id,
                outcome=outcome,
                started_at=min(known.started_at, fact.data.at) if known else fact.data.at,
                ended_at=None if outcome == "started" else fact.data.at,
                facility=fact.data.facility,
                setting=fact.data.setting,
                access=fact.data.access.value,
                last=fact,
                events=(*(known.events if known else ()), fact.event_id),
            )
    return list(by_bag.values())


_ALIAS_FIELDS: tuple[tuple[str, str], ...] = (
    ("coi_id", "coi"),
    ("din", "din"),
    ("bag_id", "bag"),
    ("isbt_128", "isbt_128"),
    ("maker_id", "maker"),
    ("admission_id", "admission"),
    ("appointment_id", "appointment"),
)


def _aliases(facts: Facts) -> list[tuple[str, str]]:
    return [pair for fact in facts.all for pair in aliases_of(fact.data)]


def aliases_of(data: object) -> list[tuple[str, str]]:
    """The typed identifiers an event's data carries: (kind, value)."""
    getter: Callable[[str], object] = lambda name: getattr(data, name, None)  # noqa: E731
    found = [(kind, str(value)) for name, kind in _ALIAS_FIELDS if (value := getter(name)) is not None]
    if isinstance(data, cells.ProductReleased):
        # A lot names one patient's product, and means something within its labeler only (G177).
        found.append(("lot", f"{data.ndc.split('-')[0][:5]}/{data.lot}"))
    return found


def attested(facts: Facts) -> frozenset[str]:
    """The events that came under the source of an import and happened by its moment."""
    taken = facts.last(cutover.EncounterImported)
    if taken is None:
        return frozenset()
    mine = (fact for fact in facts.all if fact.source == taken.source and fact.occurred <= taken.data.at)
    return frozenset(fact.event_id for fact in mine if fact.event_id != taken.event_id)
