"""The billing context: record, site file and rulebook, with the look-ups that builders share."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TypeVar, cast

from domain.billing.ndc import belongs_to
from domain.encounter.facts import Fact, Facts
from domain.encounter.record import Authorization, Record, Stay
from domain.events.access import ReferralReceived
from domain.events.governance import PlanChanged
from domain.events.revenue import ChargePosted
from domain.rulebook import NoRule, Rulebook
from domain.rulebook.rows import Code, DrugCode, Package, Payer, Policy, Product, Row, Window
from domain.site import Facility, Site

R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class BillingContext:
    """The input of the builders. Look-ups take a date and raise NoRule; nothing falls back silently."""

    record: Record
    site: Site
    rules: Rulebook
    referral: Fact[ReferralReceived]
    _answers: dict[Hashable, Row] = field(default_factory=dict, compare=False, repr=False)

    def one(self, kind: type[R], on: date, **match: str) -> R:
        """`Rulebook.one` with its answers cached, since every line of a claim repeats the same look-ups."""
        key = (kind, on, *sorted(match.items()))
        if key not in self._answers:
            self._answers[key] = self.rules.one(kind, on, **match)
        return cast(R, self._answers[key])

    @property
    def payer(self) -> str:
        return self.referral.data.coverage.payer

    @property
    def product(self) -> str:
        return self.record.product or self.referral.data.product

    @property
    def indication(self) -> str:
        return self.record.indication or self.referral.data.indication

    def planned_on(self, day: date, facility: str) -> BillingContext:
        """The context with the product and indication planned on a day; a later switch does not change earlier services."""
        facts = self.record.facts
        later = {
            fact.event_id
            for fact in facts.of(PlanChanged)
            if (fact.data.product or fact.data.indication) and self.day(fact.occurred, facility) > day
        }
        if not later:
            return self
        kept = tuple(fact for fact in facts.all if fact.event_id not in later)
        return replace(self, record=Record(Facts(kept, facts.retracted, facts.broken)), _answers={})

    def facility(self, key: str) -> Facility | None:
        return self.site.facility(key)

    def local(self, moment: datetime, facility: str) -> datetime:
        """The moment on the clock of the facility; UTC where the site file does not list it (edits hold such a claim)."""
        known = self.facility(facility)
        return moment.astimezone(known.zone if known else UTC)

    def day(self, moment: datetime, facility: str) -> date:
        """The date of service."""
        return self.local(moment, facility).date()

    def admitted_on(self, stay: Stay) -> date:
        """The day of the inpatient order."""
        return self.day(stay.inpatient_from or stay.started_at, stay.facility)

    def in_stay(self, stay: Stay, moment: datetime) -> bool:
        """True for a service given in the stay, or earlier on the day its account became inpatient."""
        began = stay.inpatient_from
        converted = began is not None and stay.started_at <= moment < began
        return stay.covers(moment) or (converted and self.day(moment, stay.facility) == self.admitted_on(stay))

    def discharged_on(self, stay: Stay) -> date | None:
        return self.day(stay.ended_at, stay.facility) if stay.ended_at else None

    def same_owner_group(self, one: str, other: str) -> bool:
        """True for the same facility, or two that one owner wholly owns (corrections C5)."""
        a, b = self.facility(one), self.facility(other)
        return one == other or (a is not None and b is not None and a.owner_group == b.owner_group)

    def payer_row(self, on: date) -> Payer:
        return self.one(Payer, on, key=self.payer)

    def product_row(self, on: date) -> Product:
        return self.one(Product, on, key=self.product)

    def policy(self, key: str, on: date, facility: str = "") -> Policy:
        """The billing choice for this payer, its class and the contractor of the facility."""
        known = self.facility(facility)
        return self.one(
            Policy,
            on,
            key=key,
            payer=self.payer,
            payer_class=self.payer_row(on).payer_class,
            mac=known.mac if known and known.mac else "",
        )

    def window_policy(self, on: date, facility: str) -> Policy:
        """Whether services of the facility are billed with an admission; an office has a separate row."""
        known = self.facility(facility)
        office = known is not None and known.hospital_class == "office"
        return self.policy("payment_window_office" if office else "payment_window", on, facility)

    def code(self, role: str, on: date, **narrow: str) -> Code:
        """The code that plays the role on that day."""
        return self.one(Code, on, role=role, product=self.product, payer=self.payer, **narrow)

    def codes(self, role: str, on: date) -> tuple[Code, ...]:
        return self.rules.find(Code, on, role=role, product=self.product, payer=self.payer)

    def drug(self, drug: str, ndc: str, on: date) -> DrugCode:
        """How the drug is billed: the row of its NDC, else the row that names none.

        An NDC that has rows of its own is billed by them alone: past their end, or before their start, the general code
        would name another product.

        Raises:
            NoRule: no row bills this drug or this NDC on that day.
        """
        every = [row for row in self.rules.table(DrugCode) if row.drug == drug]
        own = [row for row in every if row.ndc_prefixes and belongs_to(ndc, row.ndc_prefixes)]
        fitting = [row for row in own or every if row.holds_on(on) and (own or not row.ndc_prefixes)]
        if not fitting:
            raise NoRule(DrugCode.table, {"drug": drug, "ndc": ndc} if own else {"drug": drug}, on)
        return fitting[0]

    def package(self, drug: str, ndc: str, on: date) -> Package | None:
        """What the packages of the NDC contain; None where no row lists the NDC."""
        rows = [row for row in self.rules.table(Package) if row.drug == drug and row.holds_on(on)]
        return next((row for row in rows if belongs_to(ndc, [row.ndc_prefix])), None)

    def days(self, window: str, on: date, **narrow: str) -> int:
        """The length of a window in days; zero where no row gives one."""
        row = self.rules.maybe(Window, on, key=window, **narrow)
        return row.days or 0 if row else 0

    @cached_property
    def outpatient_stays(self) -> frozenset[str]:
        """Stays that never became inpatient: their charges go by the day of service."""
        return frozenset(stay.id for stay in self.record.stays if not stay.inpatient)

    def stay_of(self, charge: ChargePosted) -> str | None:
        """The inpatient stay a posted charge belongs to, None for every other charge."""
        return None if charge.admission_id in self.outpatient_stays else charge.admission_id

    def authorization(self, on: date) -> Authorization | None:
        """The latest approval that covers the day and fits the product."""
        fitting = [a for a in self.record.authorizations if a.covers(on) and a.product in (None, self.product)]
        return fitting[-1] if fitting else None

    @cached_property
    def gap_days(self) -> int:
        return self.days("lymphodepletion_course_gap", self.referral.occurred.date())
