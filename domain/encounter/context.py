"""The context: one encounter's record with a site, a rulebook and a moment. Stages read everything from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property

from domain.days import end_of_day, local_day
from domain.encounter import future_dated
from domain.encounter.attempts import BEGINNING, Attempt, attempt, ends_attempt
from domain.encounter.facts import Fact, Facts
from domain.encounter.record import Appointment, Record
from domain.events import EventData, care
from domain.events.access import BookableStage
from domain.events.base import Setting, Stage
from domain.events.cells import ProductReleased
from domain.events.governance import CertificationChanged, PlanChanged
from domain.rulebook import Rulebook
from domain.rulebook.rows import Indication, Payer, Product, Regimen, Window
from domain.site import Site

UNKNOWN = "unknown"
Dose = Fact[care.LymphodepletionAdministered]


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a stage: performed, booked, or only due.

    Attributes:
        on: the day its gate is judged for: performed, else booked, else today, at the place of care.
        moment: when it was performed; None before.
        after: the moment the previous attempt ended; the beginning of time for the first.
    """

    stage: Stage
    on: date
    performed: bool
    booked: bool
    facility: str | None
    setting: Setting | None
    moment: datetime | None
    events: tuple[str, ...] = ()
    after: datetime = BEGINNING


@dataclass(frozen=True)
class EncounterContext:
    """One encounter to be judged at `now`. Pure; every property is computed once.

    `shared` are identifiers of its cells, by kind and value, that also appear in another patient's encounter.
    """

    record: Record
    site: Site
    rules: Rulebook
    now: datetime
    holders: tuple[Fact[EventData], ...] = ()
    shared: frozenset[tuple[str, str]] = frozenset()

    @cached_property
    def _earlier(self) -> dict[frozenset[str], EncounterContext]:
        """Contexts without some later events, by those events: services of one time share a context."""
        return {}

    @cached_property
    def by_event(self) -> dict[str, Fact[EventData]]:
        return {fact.event_id: fact for fact in (*self.holders, *self.record.facts.retracted, *self.record.facts.all)}

    @cached_property
    def certificate_changes(self) -> dict[tuple[str, str], list[Fact[CertificationChanged]]]:
        """The reported changes of certificates, by layer and holder; each event once."""
        found: dict[tuple[str, str], list[Fact[CertificationChanged]]] = {}
        for fact in {f.event_id: f for f in (*self.holders, *self.record.facts.all)}.values():
            if isinstance(fact.data, CertificationChanged):
                found.setdefault((fact.data.layer.value, fact.data.holder), []).append(fact)  # type: ignore[arg-type]
        return found

    @property
    def product(self) -> str:
        return self.record.product or UNKNOWN

    @property
    def indication(self) -> str:
        return self.record.indication or UNKNOWN

    @property
    def payer(self) -> str:
        return self.record.payer or UNKNOWN

    @cached_property
    def payer_row(self) -> Payer | None:
        return self.rules.maybe(Payer, self.today, key=self.payer)

    @property
    def payer_class(self) -> str:
        return self.payer_row.payer_class if self.payer_row else UNKNOWN

    def product_row(self, on: date) -> Product | None:
        return self.rules.maybe(Product, on, key=self.product)

    def indication_row(self, on: date) -> Indication | None:
        return self.rules.maybe(Indication, on, product=self.product, key=self.indication)

    def regimen(self, on: date) -> Regimen | None:
        """The label's lymphodepletion for the indication, for comparison only (corrections A1)."""
        row = self.indication_row(on)
        return self.rules.maybe(Regimen, on, key=row.regimen) if row and row.regimen else None

    def window(self, key: str, on: date | None = None) -> Window:
        """Return the duration of a key for this product and indication.

        Raises:
            NoRule: the rulebook has no such duration on that day.
        """
        return self.rules.one(
            Window, on or self.today, key=key, product=self.product, indication=self.indication, hospital_class="*"
        )

    def span(self, key: str) -> timedelta:
        """Return the length of a window, days and hours together."""
        return self.window(key).span

    @cached_property
    def grace(self) -> timedelta:
        return self.span("late_feed_grace")

    @cached_property
    def home(self) -> tzinfo:
        """The time zone of the infusion center; of the site's first facility while the center is unknown."""
        known = self.site.facility(self.infusion_facility or "")
        if known is None and self.site.facilities:
            known = self.site.facilities[0]
        return known.zone if known else UTC

    def zone(self, facility: str | None) -> tzinfo:
        known = self.site.facility(facility) if facility else None
        return known.zone if known else self.home

    def day(self, moment: datetime, facility: str | None = None) -> date:
        return local_day(moment, self.zone(facility))

    @cached_property
    def today(self) -> date:
        return local_day(self.now, self.home)

    def day_end(self, day: date, facility: str | None = None) -> datetime:
        return end_of_day(day, self.zone(facility))

    def midnight(self, day: date) -> datetime:
        """Return the beginning of a day at the infusion center."""
        return end_of_day(day - timedelta(days=1), self.home)

    @cached_property
    def latest(self) -> datetime:
        """Now, by the fastest clock among the senders."""
        return self.now + self.span("sender_clock_skew")

    @cached_property
    def future_records(self) -> tuple[tuple[str, datetime], ...]:
        """Events dated later than now, with the moment from which each counts."""
        return tuple(future_dated.future_records((*self.holders, *self.record.facts.all), self.latest, self.midnight))

    @property
    def future_services(self) -> tuple[str, ...]:
        """The events of services that are documented for a time in the future."""
        return tuple(event for event, _ in self.future_records if future_dated.performed(self.by_event[event]))

    @cached_property
    def by_now(self) -> EncounterContext:
        """The context without the records that open gates only later."""
        if not self.future_records:
            return self
        facts = self.record.facts
        kept = future_dated.by(facts.all, self.latest, self.midnight)
        holders = future_dated.by(self.holders, self.latest, self.midnight)
        return replace(self, record=Record(Facts(kept, facts.retracted, facts.broken)), holders=holders)

    @property
    def apheresis_facility(self) -> str | None:
        if self.record.facilities:
            return self.record.facilities.apheresis
        booked = self.record.booked(BookableStage.APHERESIS)
        return booked[0].facility if booked else None

    @cached_property
    def infusion_facility(self) -> str | None:
        if self.record.facilities:
            return self.record.facilities.infusion
        booked = self.record.booked(BookableStage.INFUSION)
        return booked[0].facility if booked else None

    @cached_property
    def attempt(self) -> Attempt:
        return attempt(self.record)

    @cached_property
    def all_courses(self) -> tuple[tuple[Dose, ...], ...]:
        """Courses of lymphodepletion: a long gap, or the end of an attempt, starts a new one (corrections E)."""
        gap = self.window("lymphodepletion_course_gap").days or 0
        courses: list[list[Dose]] = []
        for dose in sorted(self.record.lymphodepletion, key=lambda fact: (fact.data.date, *fact.order)):
            last = courses[-1][-1] if courses else None
            near = last is not None and (dose.data.date - last.data.date).days <= gap
            if last is not None and near and not any(last.occurred < end <= dose.occurred for end in self.attempt.ends):
                courses[-1].append(dose)
            else:
                courses.append([dose])
        return tuple(tuple(course) for course in courses)

    @property
    def courses(self) -> tuple[tuple[Dose, ...], ...]:
        """The courses of this attempt."""
        return tuple(course for course in self.all_courses if course[0].occurred > self.attempt.since)

    @property
    def course(self) -> tuple[Dose, ...]:
        """The last course of lymphodepletion."""
        return self.courses[-1] if self.courses else ()

    def bookings(self, stage: BookableStage) -> tuple[Appointment, ...]:
        """The open bookings of a stage in this attempt."""
        return tuple(a for a in self.record.booked(stage) if a.starts_at > self.attempt.since)

    def due(self, stage: Stage, facility: str | None, setting: Setting | None) -> Service:
        """Return a service that is not booked yet: its gate is judged for today."""
        return Service(stage, self.today, False, False, facility, setting, None, (), self.attempt.since)

    def booked(self, stage: Stage, booking: Appointment) -> Service:
        """Return a service that is booked: its gate is judged for the booked day."""
        on = self.day(booking.starts_at, booking.facility)
        return Service(
            stage, on, False, True, booking.facility, booking.setting, None, booking.events, self.attempt.since
        )

    def performed(self, stage: Stage, fact: Fact[EventData], facility: str, setting: Setting) -> Service:
        """Return a service that was performed: its gate is judged for its day."""
        after = max((end for end in self.attempt.ends if end < fact.occurred), default=BEGINNING)
        on = self.day(fact.occurred, facility)
        return Service(stage, on, True, True, facility, setting, fact.occurred, (fact.event_id,), after)

    def as_of(self, service: Service) -> EncounterContext:
        """Return the context at the time a service was performed: later plans, losses and products do not affect it."""
        moment = service.moment
        if moment is None:
            return self
        facts = self.record.facts
        later = [fact for fact in facts.all if _moves_on(fact, service.stage) and fact.occurred > moment]
        if not later:
            return self
        without = frozenset(fact.event_id for fact in later)
        if without not in self._earlier:
            kept = tuple(fact for fact in facts.all if fact.event_id not in without)
            self._earlier[without] = replace(self, record=Record(Facts(kept, facts.retracted, facts.broken)))
        return self._earlier[without]

    def since(self, events: Iterable[str]) -> datetime:
        """When a condition became true here: the last of its facts had happened and was known. Never after now."""
        known = [self.by_event[event] for event in events if event in self.by_event]
        return min(self.now, max((max(f.time, f.received_at) for f in known), default=self.now))

    def known_at(self, events: Iterable[str]) -> datetime | None:
        """When the last of the facts was received."""
        return max((self.by_event[event].received_at for event in events if event in self.by_event), default=None)


def _moves_on(fact: Fact[EventData], stage: Stage) -> bool:
    """Events that change the plan or the attempt of later services and do not affect a completed one."""
    released = isinstance(fact.data, ProductReleased) and stage is not Stage.INFUSION
    return released or isinstance(fact.data, PlanChanged) or ends_attempt(fact.data)
