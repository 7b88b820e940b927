"""Whatever the order of collections, courses, stays and treatments: each documented service is billed once, on one claim."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.billing.model import Claim
from domain.billing.x12 import render, validate
from tests.domain.billing import golden
from tests.domain.billing.golden import control
from tests.domain.billing.stories import Story, error_ids
from tests.kit.site import site

HOUSES = ("st_mary", "st_mary_office", "st_mary_exempt", "lakeside")
FOLDING = {"duplicate_line", "line_outside_period", "overlapping_claims", "product_twice", "total_mismatch", "no_rule"}
GIVEN = ("fludarabine", "cyclophosphamide", "tocilizumab", "collection", "cell_product")


@dataclass(frozen=True)
class Course:
    """An encounter in numbers: days from the infusion, hours on the clock of the hospital."""

    payer: str
    center: str
    house: str
    collections: tuple[int, ...]
    doses: tuple[int, ...]
    admitted: int | None
    back: int | None
    treated: tuple[tuple[int, int], ...]
    attested: bool

    def story(self) -> Story:
        story = Story().referral(
            coverage={"payer": self.payer, "member_id": "W1"},
            facilities={"apheresis": self.center, "infusion": self.center},
            planned_setting="inpatient" if self.admitted is not None else "outpatient",
        )
        story.authorization(last=60).released()
        for ordinal, day in enumerate(self.collections, start=1):
            story.collection(day, ordinal, facility=self.center)
        setting = "office" if self.house == "st_mary_office" else "outpatient"
        for day in self.doses:
            for drug, mg, hour in (("fludarabine", "55.5", 9), ("cyclophosphamide", "925", 10)):
                inside = self.admitted is not None and self.admitted <= day
                place = {
                    "facility": self.center if inside else self.house,
                    "setting": "inpatient" if inside else setting,
                }
                story.dosed(drug, day, mg, "20", hour=hour, **place)
        if self.admitted is not None:
            story.admitted(self.admitted, facility=self.center)
        story.infused("inpatient" if self.admitted is not None else "outpatient", facility=self.center)
        if self.admitted is not None:
            story.discharged(self.left).coded()
        if self.back is not None:
            story.admitted(self.back, "ADM2", hour=12, facility=self.center).toxicity(self.back, crs=2)
            story.discharged(self.back + 3, "ADM2").coded("ADM2", "A41.9", ("T80.82XA", "Y"), ("D89.832", "Y"))
        for day, hour in self.treated:
            story.tocilizumab(day, hour, setting=self._setting(day, hour), facility=self.center)
        return story.evidence("unrelated_services", day=30) if self.attested else story

    @property
    def left(self) -> int:
        return 5

    def _setting(self, day: int, hour: int) -> str:
        first = self.admitted is not None and (day, hour) <= (self.left, 11)
        again = self.back is not None and (self.back, 12) <= (day, hour) <= (self.back + 3, 11)
        return "inpatient" if first or again else "outpatient"


@st.composite
def courses(draw: st.DrawFn) -> Course:
    admitted = draw(st.none() | st.integers(-7, 0))
    hours = st.tuples(st.integers(0, 14), st.sampled_from([14, 16, 20, 23]))
    center = draw(st.sampled_from(["st_mary", "st_mary_exempt"]))
    first = draw(st.integers(-10, -4))
    again = draw(st.booleans())
    return Course(
        payer=draw(st.sampled_from(["medicare", "aetna"])),
        center=center,
        house=draw(st.sampled_from(HOUSES)),
        collections=tuple(sorted(draw(st.sets(st.integers(-60, -20), min_size=1, max_size=3)))),
        doses=(*((-32, -31, -30) if again else ()), *range(first, first + 3)),
        admitted=admitted,
        back=draw(st.none() | st.integers(6 if admitted is not None else 1, 12)),
        treated=tuple(sorted(draw(st.sets(hours, max_size=3)))),
        attested=draw(st.booleans()),
    )


def billed(claims: tuple[Claim, ...]) -> Counter[str]:
    """How often the first line of each documented service is on a claim; a discarded amount is not a second service."""
    return Counter(
        line.reason.events[0]
        for claim in claims
        for line in claim.lines
        if line.service in GIVEN and not (line.documented_mg is None and line.wasted_mg is not None)
    )


@settings(max_examples=80, deadline=None)
@given(courses())
def test_each_documented_service_is_billed_once_and_its_claim_passes(course: Course) -> None:
    story = course.story()
    record, claims = story.record(), story.claims()
    documented = Counter(
        fact.event_id for facts in (record.collections, record.lymphodepletion, record.medications) for fact in facts
    )
    documented.update(infusion.events[0] for infusion in record.given)
    assert billed(claims) == documented
    for claim in claims:
        assert claim.ready, (claim.key, claim.waiting_for)
        assert not FOLDING & error_ids(claim), (claim.key, [edit.message for edit in claim.errors])
        payer = site().payer(claim.payer)
        assert payer is not None
        assert validate(render(claim, golden.PAT, site(), payer, control())) == [], claim.key


@settings(max_examples=40, deadline=None)
@given(courses())
def test_an_attestation_moves_services_and_changes_no_charge(course: Course) -> None:
    """The claims of the services differ; the sum of all lines of documented services does not."""
    sums = []
    for attested in (False, True):
        claims = replace(course, attested=attested).story().claims()
        sums.append(sum(line.charge for claim in claims for line in claim.lines if line.service in GIVEN))
    assert sums[0] == sums[1]
