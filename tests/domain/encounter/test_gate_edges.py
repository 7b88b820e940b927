"""The gates on their edges, for any calendar: first and last days, windows across month ends and clock changes, caps; and
that what favours opens, what speaks against closes again, whatever came before."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.events.base import Stage
from tests.kit.patient import patient as named
from tests.kit.site import site
from tests.kit.stories import NDC, Story, holds, until_received

MA = {"payer": "medicare_advantage", "member_id": "1EG4TE5MK73"}
CHANGES = [date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14)]
"""Days on which the hospital's clocks change."""

day0 = st.one_of(
    st.dates(date(2026, 1, 1), date(2028, 3, 15)),
    st.builds(lambda on, days: on + timedelta(days=days), st.sampled_from(CHANGES), st.integers(-2, 90)),
)
some = settings(max_examples=40, deadline=None)


def referred(on: date, *without: str, **changes: Any) -> Story:
    story = Story(day0=on)
    story.refer(coverage=changes.pop("coverage", MA), evidence=story.documents(-47, *without), **changes)
    return story


class TestFirstAndLastDays:
    @some
    @given(on=day0, first=st.integers(-30, -18), length=st.integers(0, 12), hour=st.sampled_from([0, 9, 23]))
    def test_an_approval_counts_exactly_on_its_days(self, on: date, first: int, length: int, hour: int) -> None:
        story = referred(on)
        booking = {"appointment_id": "APT", "stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}
        story.report(-42, "cart.appointment.booked", booking | {"starts_at": story.at(-24, hour, 30).isoformat()})
        story.authorize(-41, first, first + length)

        assert (Stage.APHERESIS in story.decide(-40).cleared) is (first <= -24 <= first + length)

    @some
    @given(on=day0, last=st.integers(-30, -18), hour=st.sampled_from([0, 9, 23]))
    def test_a_certificate_counts_through_its_last_day_at_the_hospital(self, on: date, last: int, hour: int) -> None:
        story = referred(on, coverage={"payer": "medicare", "member_id": "X"})
        ending = [
            filed.model_copy(update={"valid_to": story.day0 + timedelta(days=last)})
            if filed.holder == "st_mary"
            else filed
            for filed in site().certifications
        ]
        story.site = site().model_copy(update={"certifications": tuple(ending)})
        booking = {"appointment_id": "APT", "stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}
        story.report(-42, "cart.appointment.booked", booking | {"starts_at": story.at(-24, hour, 59).isoformat()})

        assert (Stage.APHERESIS in story.decide(-40).cleared) is (last >= -24)

    @some
    @given(on=day0, days=st.integers(55, 66), hour=st.sampled_from([0, 9, 23]))
    def test_imaging_is_fresh_for_sixty_days_of_the_calendar(self, on: date, days: int, hour: int) -> None:
        story = referred(on, "imaging", "tumour_burden")
        story.authorize(-41, -41, 40)
        story.report(-43, "cart.evidence.added", story.document(-24 - days, "imaging"))
        booking = {"appointment_id": "APT", "stage": "apheresis", "facility": "st_mary", "setting": "outpatient"}
        story.report(-42, "cart.appointment.booked", booking | {"starts_at": story.at(-24, hour, 30).isoformat()})

        assert (Stage.APHERESIS in story.decide(-40).cleared) is (days <= 60)

    @some
    @given(on=day0, slip=st.integers(1, 20), hour=st.sampled_from([0, 23]))
    def test_lymphodepletion_carries_for_fourteen_days_of_the_calendar(self, on: date, slip: int, hour: int) -> None:
        story = Story(day0=on)
        story.refer()
        story.collect()
        story.release()
        story.receive()
        story.deplete()  # the last dose is on day -3
        booking = {"appointment_id": "APT", "stage": "infusion", "facility": "st_mary", "setting": "inpatient"}
        story.report(
            -3, "cart.appointment.booked", booking | {"starts_at": story.at(slip - 3, hour, 30).isoformat()}, hour=12
        )

        late = "infusion.product.lymphodepletion_in_time" in holds(story.decide(-3))

        assert late is (slip > 14)

    @some
    @given(born=st.dates(date(2006, 1, 1), date(2010, 12, 31)), day=st.dates(date(2026, 1, 1), date(2028, 12, 31)))
    def test_eighteen_on_the_day_of_the_service_and_not_before(self, born: date, day: date) -> None:
        story = Story(day0=day + timedelta(days=24))
        patient = named(birth_date=born.isoformat())
        story.refer(indication="b_all", diagnosis="C91.02", patient=patient, coverage=MA)
        story.book("apheresis", -24, -42)

        young = "apheresis.eligibility.adult_age" in holds(story.decide(-41))

        eighteenth = (
            date(born.year + 18, 3, 1) if (born.month, born.day) == (2, 29) else born.replace(year=born.year + 18)
        )
        assert young is (day < eighteenth)


class TestCaps:
    @pytest.mark.parametrize(("indication", "cap"), [("mcl", 200_000_000), ("b_all", 100_000_000)])
    @some
    @given(more=st.one_of(st.integers(-3, 3), st.integers(-90_000_000, 90_000_000)))
    def test_a_dose_of_exactly_the_cap_is_allowed_and_one_cell_more_is_not(
        self, indication: str, cap: int, more: int
    ) -> None:
        story = Story()
        leukemia = {"indication": "b_all", "diagnosis": "C91.02"} if indication == "b_all" else {}
        story.refer(**leukemia)
        story.collect()
        story.release(viable_car_cells=cap + more)
        story.receive()

        above = [hold for hold in story.decide(-5).holds if hold.id == "lymphodepletion.identity.cap"]

        assert bool(above) is (more > 0)
        assert not any(hold.requirement.overridable for hold in above)


class TestMonotone:
    @some
    @given(doses=st.integers(0, 8), more=st.integers(0, 8), icu=st.booleans())
    def test_more_stock_never_closes_the_infusion(self, doses: int, more: int, icu: bool) -> None:
        story = until_received()
        story.deplete()
        before = stocked(story, -2, doses, icu)
        after = stocked(story, -1, doses + more, True)

        assert before <= after
        assert (Stage.INFUSION in after) is (doses + more >= 2)
        assert (Stage.INFUSION in before) is (doses >= 2 and icu)

    @some
    @given(
        payer=st.sampled_from(["uhc", "aetna", "cigna", "medicare_advantage"]),
        first=st.sets(st.sampled_from(["risk_assessment", "tumour_burden"])),
        more=st.sets(st.sampled_from(["risk_assessment", "tumour_burden"])),
    )
    def test_favorable_documents_never_close_the_outpatient_pathway(
        self, payer: str, first: set[str], more: set[str]
    ) -> None:
        story = referred(
            date(2026, 6, 1), "tumour_burden", coverage={"payer": payer, "member_id": "X"}, planned_setting="outpatient"
        )
        story.authorize(-42, -42, 40)
        for kind in sorted(first):
            story.add(-41, kind, FAVOURABLE[kind])
        before = story.decide(-40)
        for kind in sorted(more):
            story.add(-39, kind, FAVOURABLE[kind])
        after = story.decide(-38)

        assert set(holds(after)) <= set(holds(before))
        assert before.cleared <= after.cleared

    @some
    @given(taken=st.sets(st.integers(0, 60)), given_back=st.sets(st.integers(0, 60)))
    def test_certificates_of_the_site_file_never_close_a_gate(self, taken: set[int], given_back: set[int]) -> None:
        fewer, more = (
            tuple(c for i, c in enumerate(site().certifications) if i not in gone)
            for gone in (taken, taken - given_back)
        )
        story = referred(date(2026, 6, 1))
        story.authorize(-42, -42, 40)
        story.site = site().model_copy(update={"certifications": fewer})
        before = story.decide(-40)
        story.site = site().model_copy(update={"certifications": more})
        after = story.decide(-40)

        assert set(holds(after)) <= set(holds(before))
        assert before.cleared <= after.cleared


FAVOURABLE: dict[str, dict[str, Any]] = {
    "risk_assessment": {"outpatient_acceptable": True},
    "tumour_burden": {"level": "low"},
}


def stocked(story: Story, day: int, doses: int, icu: bool) -> frozenset[Stage]:
    body = {"facility": "st_mary", "tocilizumab_doses": doses, "icu_backup": icu}
    story.report(day, "cart.readiness.changed", body)
    return frozenset(story.decide(day).cleared)


class TestClosedAgain:
    @some
    @given(answers=st.lists(st.sampled_from(["approved", "pended", "denied"]), min_size=1, max_size=6))
    def test_the_last_answer_on_one_request_counts(self, answers: list[str]) -> None:
        story = referred(date(2026, 6, 1))
        for number, answer in enumerate(answers):
            day = -41 + number
            if answer == "approved":
                story.authorize(day, -41, 40)
            else:
                story.report(day, "cart.authorization.decided", {"number": "AUTH-1", "decision": answer})

        assert (Stage.APHERESIS in story.decide(-30).cleared) is (answers[-1] == "approved")

    @some
    @given(statuses=st.lists(st.sampled_from(["active", "suspended", "revoked"]), min_size=1, max_size=6))
    def test_the_last_report_on_a_certificate_counts(self, statuses: list[str]) -> None:
        story = referred(date(2026, 6, 1), coverage={"payer": "medicare", "member_id": "X"})
        for number, status in enumerate(statuses):
            story.certify(-44 + number, "authorized_center", "st_mary", "2020-01-01", None, status=status)

        assert (Stage.APHERESIS in story.decide(-30).cleared) is (statuses[-1] == "active")

    @some
    @given(grades=st.lists(st.tuples(st.integers(-80, -45), st.integers(0, 5)), min_size=1, max_size=5), data=st.data())
    def test_the_latest_dated_document_counts_in_whatever_order_they_arrive(
        self, grades: list[tuple[int, int]], data: st.DataObject
    ) -> None:
        assume(len({dated for dated, _ in grades}) == len(grades))
        story = referred(date(2026, 6, 1), "ecog")
        story.authorize(-42, -42, 40)
        for dated, score in data.draw(st.permutations(grades)):
            story.report(-40, "cart.evidence.added", story.document(dated, "ecog", {"score": score}))

        assert (Stage.APHERESIS in story.decide(-30).cleared) is (max(grades)[1] <= 2)

    @some
    @given(levels=st.lists(st.sampled_from(["low", "high"]), min_size=1, max_size=5))
    def test_a_burden_that_rises_closes_the_outpatient_pathway_again(self, levels: list[str]) -> None:
        coverage = {"payer": "uhc", "member_id": "X"}
        story = referred(date(2026, 6, 1), "tumour_burden", coverage=coverage, planned_setting="outpatient")
        story.authorize(-42, -42, 40)
        for number, level in enumerate(levels):
            story.add(-41 + number, "tumour_burden", {"level": level})

        assert (Stage.APHERESIS in story.decide(-30).cleared) is (levels[-1] == "low")

    @some
    @given(day=st.integers(-6, 4))
    def test_a_product_that_expires_before_the_infusion_closes_it(self, day: int) -> None:
        story = Story()
        story.refer()
        story.collect()
        story.release(expires_on=story.on(day), ndc=NDC)
        story.receive()
        story.deplete()
        story.book("infusion", 0, -2, setting="inpatient")

        assert (Stage.INFUSION in story.decide(-1).cleared) is (day >= 0)
