"""Which claims exist, and which documented service goes on which of them.

Every collection, dose, infusion and medication goes on exactly one claim. The claim of a stay includes what was given during
it. For payers with a payment window it includes outpatient services of the same owner in the days before (corrections C5).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from domain.billing.context import BillingContext
from domain.billing.model import Letter
from domain.billing.services import ClaimServices
from domain.encounter.facts import Fact
from domain.encounter.record import Infusion, Stay
from domain.events.access import PlainEvidence
from domain.events.care import LymphodepletionAdministered, MedicationAdministered, ToxicityAssessed
from domain.events.cells import ApheresisCompleted
from domain.rulebook import NoRule

T = TypeVar("T")

STAGES: dict[Letter, str] = {"A": "apheresis", "B": "lymphodepletion", "C": "infusion", "D": "monitoring"}
_TREATED = ("crs", "icans")


def assign_services(context: BillingContext) -> tuple[ClaimServices, ...]:
    """The services of every claim that exists by the documented services, with ordinals by date."""
    assignment = _Assignment(context)
    claims = [*assignment.collections(), *assignment.courses(), *assignment.infusions(), *assignment.returns()]
    ordered = sorted(claims, key=lambda b: (b.letter, b.first, b.facility, b.setting))
    numbered: list[ClaimServices] = []
    for services in ordered:
        numbered.append(replace(services, ordinal=1 + sum(b.letter == services.letter for b in numbered)))
    return tuple(numbered)


@dataclass(frozen=True)
class _Assignment:
    context: BillingContext

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        return tuple(stay for stay in self.context.record.stays if stay.inpatient)

    @cached_property
    def infusion_stays(self) -> dict[str, Stay]:
        """The stays whose claim includes an infusion, given in the stay or in its payment window."""
        homes = [self._home_of_infusion(infusion) for infusion in self.context.record.infusions]
        return {stay.id: stay for stay in homes if stay}

    # where a service belongs

    def covering(self, moment: datetime) -> Stay | None:
        return next((stay for stay in self.stays if self.context.in_stay(stay, moment)), None)

    def home(self, moment: datetime, facility: str) -> Stay | None:
        """The stay that bills a service: the one it was given in, or the one whose payment window includes it."""
        return self.covering(moment) or self.window_stay(moment, facility)

    def window_stay(self, moment: datetime, facility: str) -> Stay | None:
        """The next admission whose payment window includes the service, unless the services are attested unrelated."""
        if self.unrelated(self.context.day(moment, facility)):
            return None
        return next((stay for stay in self.stays if self._reaches(stay, moment, facility)), None)

    def _reaches(self, stay: Stay, moment: datetime, facility: str) -> bool:
        """True when the service was given before the admission, in its payment window and by the same owner."""
        if stay.inpatient_from is None or moment >= stay.inpatient_from:
            return False
        admitted, on = self.context.admitted_on(stay), self.context.day(moment, facility)
        return (
            on >= admitted - timedelta(days=self.window_days(stay))
            and self.context.same_owner_group(facility, stay.facility)
            and self._folds(stay, facility)
        )

    def _attested(self, given: Sequence[tuple[datetime, str]]) -> tuple[str, ...]:
        """The attestations that alone keep these services, each a moment and a facility, out of a stay."""
        for moment, facility in given:
            attestations = self.unrelated(self.context.day(moment, facility))
            if attestations and any(self._reaches(stay, moment, facility) for stay in self.stays):
                return attestations
        return ()

    def _folds(self, stay: Stay, facility: str) -> bool:
        try:
            return self.context.window_policy(self.context.admitted_on(stay), facility).value == "fold"
        except NoRule:
            return False

    def window_days(self, stay: Stay) -> int:
        hospital = self.context.facility(stay.facility)
        if hospital is None:
            return 0
        return self.context.days(
            "payment_window", self.context.admitted_on(stay), hospital_class=hospital.hospital_class
        )

    def unrelated(self, on: date) -> tuple[str, ...]:
        """The attestations, dated that day or later, that the services of the day were unrelated to the stay."""
        found = self.context.record.documents("unrelated_services")
        return tuple(event for document, event in found if isinstance(document, PlainEvidence) and document.dated >= on)

    def _home_of_infusion(self, infusion: Infusion) -> Stay | None:
        named = infusion.last.data.admission_id
        stay = next((stay for stay in self.stays if stay.id == named), None)
        return stay or self.home(infusion.started_at, infusion.facility)

    # A

    def collections(self) -> list[ClaimServices]:
        """One claim per collection day; collections of one stay share its claim."""
        apart = [
            fact for fact in self.context.record.collections if not self._in_infusion_stay(fact, fact.data.facility)
        ]
        return [self._collection_claim(facts) for facts in _grouped(apart, self._collection_place)]

    def _collection_place(self, fact: Fact[ApheresisCompleted]) -> Hashable:
        stay = self.home(fact.data.started_at, fact.data.facility)
        if stay:
            return (stay.id,)
        return (fact.data.facility, fact.data.setting, self.context.day(fact.data.started_at, fact.data.facility))

    def _collection_claim(self, facts: Sequence[Fact[ApheresisCompleted]]) -> ClaimServices:
        data = facts[0].data
        stay = self.home(data.started_at, data.facility)
        on = self.context.day(data.started_at, data.facility)
        return self._claim_services("A", data.setting, data.facility, stay, on, collections=tuple(facts))

    def _in_infusion_stay(
        self, fact: Fact[ApheresisCompleted] | Fact[LymphodepletionAdministered], facility: str
    ) -> bool:
        stay = self.home(fact.data.started_at, facility)
        return stay is not None and stay.id in self.infusion_stays

    # B

    def courses(self) -> list[ClaimServices]:
        """One claim per course, facility and setting of the doses that no infusion stay includes."""
        apart = [
            fact for fact in self.context.record.lymphodepletion if not self._in_infusion_stay(fact, fact.data.facility)
        ]
        claims: list[ClaimServices] = []
        for same_place in _grouped(apart, self._dose_place):
            claims += [self._course_claim(course) for course in self._split(same_place)]
        return claims

    def _dose_place(self, fact: Fact[LymphodepletionAdministered]) -> Hashable:
        stay = self.home(fact.data.started_at, fact.data.facility)
        return (stay.id,) if stay else (fact.data.facility, fact.data.setting)

    def _split(
        self, facts: Sequence[Fact[LymphodepletionAdministered]]
    ) -> Iterable[Sequence[Fact[LymphodepletionAdministered]]]:
        """The doses by course, split at gaps longer than the window; by day for a payer that requires a claim per visit."""
        gap = 0 if self._by_visit(facts[0]) else self.context.gap_days
        course: list[Fact[LymphodepletionAdministered]] = []
        for fact in facts:
            if course and (fact.data.date - course[-1].data.date).days > gap:
                yield course
                course = []
            course.append(fact)
        if course:
            yield course

    def _by_visit(self, fact: Fact[LymphodepletionAdministered]) -> bool:
        on, facility = self.context.day(fact.data.started_at, fact.data.facility), fact.data.facility
        if self.home(fact.data.started_at, facility) is not None:
            return False
        try:
            return self.context.policy("lymphodepletion_claims", on, facility).value == "visit"
        except NoRule:
            return False

    def _course_claim(self, facts: Sequence[Fact[LymphodepletionAdministered]]) -> ClaimServices:
        first, last = facts[0].data, facts[-1].data
        stay = self.home(first.started_at, first.facility)
        waiting = () if stay else self._window_still_open(last.started_at, last.facility)
        on = self.context.day(first.started_at, first.facility)
        services = self._claim_services("B", first.setting, first.facility, stay, on, doses=tuple(facts))
        return replace(services, waiting=(*services.waiting, *waiting))

    def _window_still_open(self, moment: datetime, facility: str) -> tuple[str, ...]:
        """True while a payment window could still move the doses to a stay: until the infusion or the end is documented."""
        on = self.context.day(moment, facility)
        try:
            folds = self.context.window_policy(on, facility).value == "fold" and self._infused_by_owner_group(facility)
        except NoRule:
            return ()
        later = any(infusion.started_at >= moment for infusion in self.context.record.infusions)
        if not folds or later or self.context.record.withdrawal:
            return ()
        return ("the infusion: until then, the payment window of an admission could include these services",)

    def _infused_by_owner_group(self, facility: str) -> bool:
        """False when the infusion is planned at a center of another owner, whose payment window does not apply here."""
        planned = self.context.record.facilities
        return planned is None or self.context.same_owner_group(facility, planned.infusion)

    # C

    def infusions(self) -> list[ClaimServices]:
        """One claim per infusion stay, or per day and facility of an outpatient infusion."""
        return [self._infusion_claim(same) for same in _grouped(self.context.record.infusions, self._infusion_place)]

    def _infusion_place(self, infusion: Infusion) -> Hashable:
        stay = self._home_of_infusion(infusion)
        if stay:
            return (stay.id,)
        return (infusion.facility, infusion.setting, self.context.day(infusion.started_at, infusion.facility))

    def _infusion_claim(self, infusions: Sequence[Infusion]) -> ClaimServices:
        first = infusions[0]
        stay = self._home_of_infusion(first)
        on = self.context.day(first.started_at, first.facility)
        services = self._claim_services("C", first.setting, first.facility, stay, on, infusions=tuple(infusions))
        running = all(infusion.outcome == "started" for infusion in infusions)
        waiting = (*services.waiting, "the end of the infusion") if running else services.waiting
        if stay is None:
            same_day = [m for m in self.treatments if self._goes_with(m, services)]
            return replace(
                services,
                waiting=waiting,
                medications=tuple(same_day),
                toxicities=self._graded_on(services.facility, on),
            )
        record = self.context.record
        return replace(
            services,
            waiting=waiting,
            collections=tuple(f for f in record.collections if self.home(f.data.started_at, f.data.facility) == stay),
            doses=tuple(f for f in record.lymphodepletion if self.home(f.data.started_at, f.data.facility) == stay),
        )

    def _goes_with(self, fact: Fact[MedicationAdministered], outpatient: ClaimServices) -> bool:
        """A drug given on the day and at the facility of an outpatient infusion goes on its claim."""
        facility = fact.data.facility or outpatient.facility
        on = self.context.day(fact.data.at, facility)
        return (
            facility == outpatient.facility
            and on == outpatient.first
            and fact.data.at >= outpatient.infusions[0].started_at
            and self.home(fact.data.at, facility) is None
        )

    # D

    @cached_property
    def treatments(self) -> tuple[Fact[MedicationAdministered], ...]:
        """Drugs given for CRS or ICANS."""
        return tuple(fact for fact in self.context.record.medications if fact.data.indication in _TREATED)

    def returns(self) -> list[ClaimServices]:
        """Readmissions for toxicity within the window, and outpatient treatments of it that are on no other claim."""
        stays = [stay for stay in self.stays if stay.id not in self.infusion_stays and self._is_return(stay)]
        claims = [self._claim_services("D", "inpatient", s.facility, s, self.context.admitted_on(s)) for s in stays]
        return claims + self._outpatient_returns()

    def _is_return(self, stay: Stay) -> bool:
        return self._after_infusion(self.context.admitted_on(stay), stay.inpatient_from or stay.started_at) and bool(
            self._toxic(stay) or self._coded_toxic(stay) or self._treated(stay)
        )

    def _after_infusion(self, on: date, moment: datetime) -> bool:
        """True within the readmission window of an infusion that was given before."""
        days = self.context.days("readmission", on, product=self.context.product, indication=self.context.indication)
        given = [i for i in self.context.record.given if i.started_at <= moment]
        return any(0 <= (on - self.context.day(i.started_at, i.facility)).days <= days for i in given)

    def _toxic(self, stay: Stay) -> tuple[Fact[ToxicityAssessed], ...]:
        """Documented grades above zero from the day of admission to discharge."""
        first, last = self.context.admitted_on(stay), self.context.discharged_on(stay)
        return tuple(
            fact
            for fact in self.context.record.toxicities
            if (fact.data.crs_grade or fact.data.icans_grade)
            and first <= (on := self.context.day(fact.data.at, stay.facility))
            and (last is None or on <= last)
        )

    def _treated(self, stay: Stay) -> tuple[Fact[MedicationAdministered], ...]:
        return tuple(f for f in self.treatments if self.home(f.data.at, f.data.facility or stay.facility) == stay)

    def _coded_toxic(self, stay: Stay) -> bool:
        on = self.context.discharged_on(stay) or self.context.admitted_on(stay)
        toxic = {row.code for role in ("crs", "icans", "therapy_complication") for row in self.context.codes(role, on)}
        coded = [fact.data for fact in self.context.record.codings if fact.data.admission_id == stay.id]
        return any(toxic & {c.principal_diagnosis, *(d.code for d in c.other_diagnoses)} for c in coded[-1:])

    def _outpatient_returns(self) -> list[ClaimServices]:
        carried = {f.event_id for services in self.infusions() for f in services.medications}
        loose = [
            f
            for f in self.treatments
            if f.event_id not in carried
            and self.home(f.data.at, self._place(f)) is None
            and self._after_infusion(self.context.day(f.data.at, self._place(f)), f.data.at)
        ]
        keyed = _grouped(loose, lambda f: (self._place(f), f.data.setting, self.context.day(f.data.at, self._place(f))))
        return [self._outpatient_return(same) for same in keyed]

    def _outpatient_return(self, facts: Sequence[Fact[MedicationAdministered]]) -> ClaimServices:
        facility = self._place(facts[0])
        on = self.context.day(facts[0].data.at, facility)
        services = self._claim_services("D", facts[0].data.setting, facility, None, on, medications=tuple(facts))
        return replace(services, toxicities=self._graded_on(facility, on))

    def _graded_on(self, facility: str, on: date) -> tuple[Fact[ToxicityAssessed], ...]:
        """Grades above zero that were documented on the day, outside of any inpatient stay."""
        graded = [t for t in self.context.record.toxicities if t.data.crs_grade or t.data.icans_grade]
        return tuple(
            t for t in graded if self.context.day(t.data.at, facility) == on and self.covering(t.data.at) is None
        )

    def _place(self, fact: Fact[MedicationAdministered]) -> str:
        """Where a drug was given; the infusion center where the chart names no facility."""
        given = self.context.record.given
        return fact.data.facility or (given[-1].facility if given else "")

    # every letter

    def _claim_services(
        self,
        letter: Letter,
        setting: str,
        facility: str,
        stay: Stay | None,
        on: date,
        *,
        collections: tuple[Fact[ApheresisCompleted], ...] = (),
        doses: tuple[Fact[LymphodepletionAdministered], ...] = (),
        infusions: tuple[Infusion, ...] = (),
        medications: tuple[Fact[MedicationAdministered], ...] = (),
    ) -> ClaimServices:
        waiting = ("the admission it was charted in",) if setting == "inpatient" and stay is None else ()
        given = [
            *((fact.data.started_at, fact.data.facility) for fact in collections),
            *((fact.data.started_at, fact.data.facility) for fact in doses),
            *((infusion.started_at, infusion.facility) for infusion in infusions),
            *((fact.data.at, facility) for fact in medications),
        ]
        return ClaimServices(
            letter=letter,
            stage=STAGES[letter],
            setting="inpatient" if stay else setting,
            facility=stay.facility if stay else facility,
            stay=stay,
            collections=collections,
            doses=doses,
            infusions=infusions,
            medications=self._treated(stay) if stay else medications,
            toxicities=self._toxic(stay) if stay and letter in ("C", "D") else (),
            waiting=waiting,
            unrelated=() if stay else self._attested(given),
            first=on,
        )


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Groups of items with the same key, in order of their first item."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
