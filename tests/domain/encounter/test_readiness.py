"""Certificates: right layer, holder, product and day; both ends inclusive; later reports; readiness of the center."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events.base import Stage
from domain.site import SiteCertificate
from tests.kit.site import site
from tests.kit.stories import Story, holds, kinds, until_received

CENTER = "readiness.authorized_center.infusion_facility"
COLLECTING = "readiness.authorized_center.apheresis_facility"


def at(facility: str, payer: str = "aetna", **changes: object) -> Story:
    story = Story()
    facilities = {"apheresis": facility, "infusion": facility}
    coverage = {"payer": payer, "member_id": "1EG4TE5MK73"}
    story.refer(facilities=facilities, coverage=coverage, **changes)
    story.authorize(-42, -42, 40)
    return story


def certify_all(story: Story, day: int, first: str = "2020-01-01", last: str | None = None) -> None:
    story.certify(day, "authorized_center", "lakeside", first, last)
    story.certify(day, "rems_facility", "lakeside", first, last)
    story.certify(day, "rems_pharmacy", "lakeside_pharmacy", first, last)


def test_a_certificate_of_the_sister_product_never_counts() -> None:
    story = at("lakeside")
    story.book("apheresis", -24, -40, facility="lakeside")

    decision = story.decide(-39)

    assert decision.stage is Stage.APHERESIS
    assert Stage.APHERESIS not in decision.cleared
    hold = holds(decision)[f"apheresis.{COLLECTING}"]
    assert (hold.requirement.layer, hold.requirement.denial, hold.requirement.overridable) == (
        "authorized_center",
        1,
        False,
    )
    assert "another product's certificate is on file" in hold.requirement.missing
    assert kinds(decision)["uncleared_collection_booked"].severity == "critical"
    assert kinds(decision)["certification_missing"].severity == "critical"
    assert decision.claims == ()


def test_the_right_certificate_opens_the_gate() -> None:
    story = at("lakeside")
    story.book("apheresis", -24, -40, facility="lakeside")
    certify_all(story, -32)

    decision = story.decide(-31)

    assert Stage.APHERESIS in decision.cleared
    assert decision.holds == ()
    assert decision.alerts == ()


@pytest.mark.parametrize(
    ("first", "last", "open_"),
    [(-24, -24, True), (-23, 30, False), (-60, -25, False), (-60, -24, True), (-24, 30, True)],
)
def test_both_ends_of_a_certificate_are_inclusive(first: int, last: int, open_: bool) -> None:
    """Judged for the booked day, not for today."""
    story = at("lakeside")
    story.book("apheresis", -24, -40, facility="lakeside")
    certify_all(story, -41, story.on(first), story.on(last))

    assert (Stage.APHERESIS in story.decide(-39).cleared) is open_


def test_a_revocation_closes_the_gate_and_a_later_report_opens_it() -> None:
    story = at("lakeside")
    certify_all(story, -44)
    story.certify(-43, "authorized_center", "lakeside", story.on(-43), None, status="revoked")
    closed = story.decide(-42)
    story.certify(-41, "authorized_center", "lakeside", story.on(-41), None)
    opened = story.decide(-40)

    assert f"apheresis.{CENTER}" in holds(closed)
    assert Stage.APHERESIS in opened.cleared


def test_the_same_certificate_reported_again_replaces_the_first_report() -> None:
    story = at("lakeside")
    certify_all(story, -44, "2026-01-01", "2026-12-31")
    story.certify(-43, "authorized_center", "lakeside", "2026-01-01", "2026-03-31")

    assert f"apheresis.{CENTER}" in holds(story.decide(-42))


def test_a_certificate_that_names_no_product_does_not_count_for_one() -> None:
    story = at("lakeside")
    story.certify(-44, "authorized_center", "lakeside", "2020-01-01", None, product=None)

    assert f"apheresis.{CENTER}" in holds(story.decide(-43))


def test_a_renewal_does_not_end_the_certificate_before_it() -> None:
    story = at("lakeside")
    certify_all(story, -44, "2026-01-01", story.on(-30))
    certify_all(story, -43, story.on(-29), "2027-12-31")

    assert Stage.APHERESIS in story.decide(-42).cleared
    assert Stage.APHERESIS in story.decide(-28).cleared


def test_a_certificate_that_expires_before_the_infusion_is_reported_at_once() -> None:
    story = at("lakeside")
    certify_all(story, -44, "2020-01-01", story.on(-10))
    story.book("apheresis", -24, -40, facility="lakeside")

    decision = story.decide(-39)

    assert Stage.APHERESIS in decision.cleared
    layers = {alert.layer for alert in decision.alerts if alert.kind == "certification_expiring"}
    assert {"authorized_center", "rems_facility", "rems_pharmacy"} <= layers


def test_a_booked_infusion_after_the_last_day_is_uncleared_while_apheresis_is_cleared() -> None:
    story = at("lakeside")
    certify_all(story, -44, "2020-01-01", story.on(-10))
    story.book("apheresis", -24, -40, facility="lakeside")
    story.book("infusion", 0, -40, facility="lakeside", setting="inpatient")

    decision = story.decide(-39)

    assert Stage.APHERESIS in decision.cleared
    assert kinds(decision)["uncleared_service_booked"].layer == "authorized_center"
    assert f"infusion.{CENTER}" in holds(decision)


def test_medicare_is_warned_of_a_missing_rems_letter_and_not_held() -> None:
    story = at("lakeside", payer="medicare")
    story.certify(-44, "authorized_center", "lakeside", "2020-01-01", None)

    decision = story.decide(-43)

    assert decision.holds == ()
    missing = [alert for alert in decision.alerts if alert.kind == "certification_missing"]
    assert {alert.severity for alert in missing} == {"warning"}
    assert {alert.layer for alert in missing} == {"rems_facility", "rems_pharmacy"}


def test_the_guide_s_edition_holds_medicare_too() -> None:
    story = at("lakeside", payer="medicare")
    story.edition = "guide"
    story.certify(-44, "authorized_center", "lakeside", "2020-01-01", None)

    assert "apheresis.readiness.rems_facility.infusion_facility" in holds(story.decide(-43))


def test_a_prescriber_without_enrollment_holds_where_the_payer_requires_it() -> None:
    story = at("st_mary", prescriber_npi="1999999984")

    assert "apheresis.readiness.rems_prescriber.prescriber" in holds(story.decide(-40))


def test_tocilizumab_and_intensive_care_are_asked_before_the_infusion_alone() -> None:
    story = until_received()
    story.deplete()
    readiness = {"facility": "st_mary", "tocilizumab_doses": 1, "icu_backup": False}
    story.report(-1, "cart.readiness.changed", readiness)

    decision = story.decide(-1)

    assert {
        "infusion.readiness.tocilizumab_on_hand.infusion_facility",
        "infusion.readiness.icu_backup.infusion_facility",
    } <= set(holds(decision))
    assert Stage.LYMPHODEPLETION in decision.cleared
    story.report(0, "cart.readiness.changed", readiness | {"tocilizumab_doses": 2, "icu_backup": True}, hour=8)
    assert Stage.INFUSION in story.decide(0).cleared


def test_a_stock_that_sinks_after_the_infusion_does_not_close_its_gate() -> None:
    story = until_received()
    story.deplete()
    story.infuse()
    story.report(3, "cart.readiness.changed", {"facility": "st_mary", "tocilizumab_doses": 0, "icu_backup": False})

    assert Stage.INFUSION in story.decide(4).cleared


day = st.integers(min_value=-400, max_value=400)


@settings(max_examples=60, deadline=None)
@given(first=day, length=st.integers(0, 500), more=st.lists(st.tuples(day, st.integers(0, 500)), max_size=3))
def test_more_certificates_never_close_a_gate(first: int, length: int, more: list[tuple[int, int]]) -> None:
    """Monotone in favorable evidence; restating the very same first day is a change and no addition."""
    story = at("lakeside")
    certify_all(story, -44, story.on(first), story.on(first + length))
    before = story.decide(-40).cleared
    for start, span in more:
        if start != first and start not in [s for s, _ in more[: more.index((start, span))]]:
            certify_all(story, -43, story.on(start), story.on(start + span))

    assert before <= story.decide(-40).cleared


@settings(max_examples=60, deadline=None)
@given(first=day, length=st.integers(0, 500))
def test_a_certificate_counts_exactly_on_its_days(first: int, length: int) -> None:
    story = at("lakeside")
    certify_all(story, -44, story.on(first), story.on(first + length))

    assert (Stage.APHERESIS in story.decide(-40).cleared) is (first <= -40 <= first + length)


def test_certificates_of_the_site_file_count_like_reported_ones() -> None:
    certificates = [
        SiteCertificate(layer=layer, product="tecartus", holder=holder, valid_from=date(2020, 1, 1))
        for layer, holder in (
            ("authorized_center", "lakeside"),
            ("rems_facility", "lakeside"),
            ("rems_pharmacy", "lakeside_pharmacy"),
        )
    ]
    story = at("lakeside")
    story.site = site().model_copy(update={"certifications": (*site().certifications, *certificates)})

    assert Stage.APHERESIS in story.decide(-40).cleared
    story.site = site()
    assert Stage.APHERESIS not in story.decide(-40).cleared
