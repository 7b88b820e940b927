"""What goes out next, as tables of cases: what happened to a claim, and the versions that come of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.billing.submission.model import UNCHANGED, Due, State
from domain.billing.submission.next_step import Emit, Hold, Keep, VoidThen, WaitFor, Withdraw, next_step
from domain.billing.submission.versions import current
from tests.domain.billing.submission.course import (
    AETNA,
    BASE,
    BASE_WRONG,
    EXPLAINED,
    LATE,
    LATE_WRONG,
    Course,
    played,
    story,
    wait,
)


def alerts(course: Course) -> set[str]:
    step = course.asked(UNCHANGED)
    return {alert.kind for alert in step.alerts}


NOTHING_SENT = [
    ("due base", "1 emitted"),
    ("due base; due late", "1 superseded, 1 emitted"),
    ("due base; due late; not due", "1 superseded, 1 withdrawn"),
    ("due base; not due; due base", "1 withdrawn, 1 emitted"),
    ("due base; due explained", "1 emitted"),
    ("due base; due base!", "1 superseded, 1 held"),
    ("due base!; due base", "1 superseded, 1 emitted"),
    ("due base!; not due", "1 withdrawn"),
    ("due base; due aetna", "1 superseded, 1 emitted"),
    ("due base; due base", "1 emitted"),
]
AT_THE_PAYER = [
    ("due base; send; due explained", "1 transmitted"),
    ("due base; send; due base!", "1 transmitted"),
    ("due base; send; due late", "1 superseded, 7 emitted"),
    ("due base; send; due late; due outpatient; due late", "1 superseded, 7 superseded, 8 superseded, 7 emitted"),
    ("due base; send; numbered 1; due late; send; due base", "1 superseded, 7 superseded, 7 emitted"),
    ("due base; send; paid 1; due late; due base", "1 paid, 7 superseded"),
    ("due base; send; paid 1; not due; due base", "1 paid, 8 superseded"),
    ("due base; send; denied 1; not due", "1 superseded, 8 emitted"),
    ("due base; send; denied 1; due late", "1 superseded, 7 emitted"),
    ("due base; send; accepted 1; insured", "1 superseded, 7 emitted"),
    ("due base; send; accepted 1; others", "1 acknowledged"),
    ("due base; send; accepted 1; due aetna!", "1 superseded, 1 held"),
    ("due base; send; accepted 1; due aetna!; due aetna", "1 superseded, 1 superseded, 8 emitted"),
    ("due base; send; accepted 1; due aetna!; due base", "1 acknowledged, 1 superseded"),
    ("due base; send; accepted 1; due late!", "1 superseded, 7 held"),
    ("due base; send; numbered 1; not due; send", "1 superseded, 8 voided"),
    ("due base; send; numbered 1; not due; send; due late", "1 superseded, 8 voided, 1 emitted"),
    *(
        (f"due base; send; numbered 1; due {other}", "1 superseded, 8 emitted")
        for other in ("aetna", "outpatient", "office")
    ),
    ("due base; send; numbered 1; due aetna; due aetna", "1 superseded, 8 emitted"),
    ("due base; send; numbered 1; due aetna; send", "1 superseded, 8 voided, 1 emitted"),
    ("due base; send; numbered 1; due aetna; send; send", "1 superseded, 8 voided, 1 transmitted"),
]
REJECTED = [
    ("due base; send; rejected 1", "1 rejected"),
    ("due base; send; rejected 1; due late", "1 superseded, 1 emitted"),
    ("due base; send; rejected 1; others", "1 superseded, 1 emitted"),
    ("due base; send; rejected 1; insured", "1 superseded, 1 emitted"),
    ("due base; send; rejected 1; others; send; days 1", "1 superseded, 1 transmitted"),
    ("due base; send; rejected 1; not due", "1 withdrawn"),
    ("due base; send; due late; rejected 1", "1 superseded, 1 emitted"),
    ("due base; send; not due; rejected 1", "1 superseded, 8 withdrawn"),
    ("due base; send; numbered 1; due late; send; rejected 2", "1 superseded, 7 rejected"),
    ("due base; send; numbered 1; due late; send; rejected 2; rejected 1", "1 superseded, 7 superseded, 1 emitted"),
    ("due base; send; paid 1; due late; send; rejected 2; due base", "1 paid, 7 superseded"),
    ("due base; send; paid 1; due late; send; rejected 2; due explained", "1 paid, 7 superseded"),
]
REJECTED_VOIDS = [
    ("due base; send; numbered 1; due aetna; send; rejected 2", "1 superseded, 8 rejected, 1 superseded"),
    ("due base; send; numbered 1; due aetna; send; send; rejected 2", "1 superseded, 8 rejected, 1 transmitted"),
    (
        "due base; send; numbered 1; due aetna; send; send; rejected 2; accepted 2",
        "1 superseded, 8 voided, 1 transmitted",
    ),
    (
        "due base; send; numbered 1; due aetna; send; rejected 2; numbered 1",
        "1 superseded, 8 superseded, 1 superseded, 8 emitted",
    ),
    (
        "due base; send; numbered 1; due aetna; send; rejected 2; due aetna!; due aetna; days 9",
        "1 superseded, 8 rejected, 1 superseded, 1 superseded",
    ),
    (
        "due base; send; numbered 1; due aetna; send; rejected 2; due aetna!; due aetna; numbered 1; send",
        "1 superseded, 8 superseded, 1 superseded, 1 superseded, 8 voided, 1 emitted",
    ),
    (
        "due base; send; numbered 1; due aetna; send; rejected 2; rejected 1",
        "1 superseded, 8 superseded, 1 superseded, 1 emitted",
    ),
]
ACCEPTED_AFTER_ALL = [
    ("due base; send; rejected 1; due late; numbered 1", "1 superseded, 7 emitted"),
    ("due base; send; rejected 1; due outpatient; numbered 1", "1 superseded, 1 superseded, 8 emitted"),
    ("due base; send; rejected 1; not due; numbered 1", "1 withdrawn, 8 emitted"),
    ("due base; send; rejected 1; due late; send; rejected 2; numbered 1", "1 superseded, 1 superseded, 7 emitted"),
    ("due base; send; accepted 1; not due; rejected 1; numbered 1", "1 superseded, 8 withdrawn, 8 emitted"),
    (
        "due base; send; accepted 1; not due; rejected 1; numbered 1; due base",
        "1 acknowledged, 8 superseded, 8 superseded",
    ),
    (
        "due base; send; numbered 1; due late; send; rejected 2; due base; numbered 2",
        "1 superseded, 7 superseded, 7 emitted",
    ),
]
"""A payer that rejected a version has it after all: it is replaced or voided first."""
VOID_LEFT_BEHIND = (
    "due base; send; numbered 1; due aetna; send; send; numbered 3; rejected 2; not due; send",
    "1 superseded, 8 rejected, 1 superseded, 8 superseded",
)
"""Both payers have it, since the first one rejected its void; when nothing is due, that void is what counts."""


@pytest.mark.parametrize(
    ("happenings", "versions"),
    [*NOTHING_SENT, *AT_THE_PAYER, *REJECTED, *REJECTED_VOIDS, *ACCEPTED_AFTER_ALL, VOID_LEFT_BEHIND],
)
def test_the_resulting_versions(happenings: str, versions: str) -> None:
    assert story(played(happenings)) == versions


@pytest.mark.parametrize("state", ["accepted 1", "paid 1", "denied 1", "days 1"])
def test_a_void_has_the_content_that_was_sent(state: str) -> None:
    course = played(f"due base; send; {state}; due late; not due")
    assert story(course).endswith("7 superseded, 8 emitted")
    assert course.versions[-1].claim.content_hash == BASE.content_hash
    course.build()
    assert len(course.versions) == 3


@pytest.mark.parametrize(
    ("happenings", "kinds"),
    [
        ("due base; send; days 40", {"claim_999_overdue", "claim_277ca_overdue", "claim_remittance_overdue"}),
        ("due base; send; accepted 1; due base!", {"claim_wrong_at_payer"}),
        ("due base; send; rejected 1", {"claim_rejected"}),
        ("due base; send; numbered 1; due aetna; send; rejected 2", {"claim_void_rejected"}),
        ("due base; send; numbered 1; due aetna; send; send; rejected 2", {"claim_void_rejected"}),
        ("due base; send; numbered 1; due aetna; send; send; rejected 2; accepted 2; accepted 3", set()),
        ("due base; send; numbered 1; due aetna; send; rejected 2; due aetna!", {"claim_void_rejected"}),
        ("due base; send; accepted 1; due aetna; days 20", {"claim_replacement_waiting"}),
        ("due base; send; numbered 1; due late; send; paid 1", set()),
        ("due base; send; numbered 1; due late; send; paid 1; paid 2", {"claim_paid_twice"}),
        (VOID_LEFT_BEHIND[0], {"claim_void_rejected"}),
    ],
)
def test_alerts(happenings: str, kinds: set[str]) -> None:
    assert alerts(played(happenings)) == kinds


@pytest.mark.parametrize(
    ("happenings", "filed"),
    [
        ("due base", False),
        ("due base; send; numbered 1", True),
        ("due base; send; due late; rejected 1", False),
        ("due base; send; numbered 1; due aetna; send; send", False),
        ("due base; send; numbered 1; due aetna; send; send; numbered 3", True),
        ("due base; send; numbered 1; due aetna; send; rejected 2", False),
        ("due base; send; numbered 1; due aetna; send; due base", False),
        ("due base; send; numbered 1; due aetna; send; due base; rejected 2", True),
        ("due base; send; numbered 1; due late; send", True),
    ],
)
def test_timely_filing_is_watched_until_the_payer_of_the_claim_has_accepted_it(happenings: str, filed: bool) -> None:
    latest = current(played(happenings).versions)
    assert latest is not None
    assert (latest.status.file_by is None) is filed


def test_a_void_shows_the_claim_that_goes_out_after_it_and_its_last_day() -> None:
    course = played("due base; send; accepted 1; due aetna; days 20")
    void = course.versions[-1]
    assert void.status.rebill is not None
    assert (void.status.rebill.payer, void.status.rebill.total) == ("aetna", AETNA.total)
    assert void.status.file_by == AETNA.statement_through + timedelta(days=120)


def test_a_replacement_names_the_number_of_the_version_the_payer_has() -> None:
    course = played("due base; send; numbered 1; due late; send; numbered 2; paid 1; due outpatient; due base; send")
    named = [file.of for file in course.files.values()]
    assert named == [None, "CE1", "CE2"]
    course = played("due base; send; numbered 1; due late; send; rejected 2; due explained; due late; send")
    assert [file.of for file in course.files.values()] == [None, "CE1", "CE1"]


def test_in_shadow_an_unanswered_file_is_not_at_the_payer_and_its_change_is_an_original() -> None:
    course = played("due base; send; days 400", shadow=True)
    step = course.asked(UNCHANGED)
    assert (step.settled, step.due, step.alerts) == (True, None, ())
    course.decided(LATE)
    wait(course, 5)
    assert story(course) == "1 superseded, 1 transmitted"
    assert "claim_rejected" in alerts(played("due base; send; rejected 1", shadow=True))


def test_a_rejected_claim_with_an_error_is_not_sent_again() -> None:
    course = played("due base; send; rejected 1; due base!; others; days 9")
    assert story(course) == "1 rejected"
    course.decided(BASE)
    assert story(course) == "1 superseded, 1 emitted"


@pytest.mark.parametrize(
    ("happenings", "claim", "action"),
    [
        ("due base", BASE, WaitFor),
        ("due base", LATE, Emit),
        ("due base", LATE_WRONG, Hold),
        ("due base; send", EXPLAINED, Keep),
        ("due base; send; numbered 1", LATE, Emit),
        ("due base; send; numbered 1", AETNA, VoidThen),
        ("due base; not due", BASE_WRONG, Hold),
    ],
)
def test_the_action_is_named(happenings: str, claim: object, action: type) -> None:
    course = played(happenings)
    step = course.asked(Due(claim, course.sequence + 1, course.now))  # type: ignore[arg-type]
    assert isinstance(step.action, action)


def test_nothing_due_and_nothing_built_is_nothing() -> None:
    course = Course()
    step = next_step((), UNCHANGED, (), course.around(), course.now)
    assert (step.versions, step.action, step.settled, step.current) == ((), Withdraw(), True, None)


def test_every_emission_has_a_number_of_its_own_and_a_held_one_none() -> None:
    course = played("due base; send; numbered 1; due late; due late!; not due")
    assert [one.control_number for one in course.versions] == ["CE1", "CE2", None, "CE3"]
    assert course.versions[2].state is State.SUPERSEDED
