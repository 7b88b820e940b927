"""Whatever happens to a claim, in whatever order: what must hold of every step and of the end.

`CLAIM_SEQUENCES=20000` runs as many random sequences; without it a few hundred.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.billing.model import Claim
from domain.billing.submission.model import REPLACEMENT, UNCHANGED, VOID, State
from domain.billing.submission.next_step import next_step
from domain.billing.submission.versions import Parties, current
from tests.domain.billing.submission.course import Course, claims, shuffled

SEQUENCES = int(os.environ.get("CLAIM_SEQUENCES", "150"))
HOLD = timedelta(days=5)
LATE = timedelta(days=30)
ROUNDS = 8
UNNUMBERED = ("claim_replacement_waiting", "claim_void_rejected")
"""Alerts upon which a biller asks the payer for its number."""

contents = st.sampled_from([None, None, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8])
changes = st.tuples(st.sampled_from(["change", "change and send", "change and send"]), contents)
days = st.tuples(st.just("days"), st.sampled_from([1, 5, 40]))
responses = st.tuples(
    st.sampled_from(["acknowledge", "number", "number", "number", "reject", "reject", "reject", "pay", "deny"]),
    st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
)
corrections = st.tuples(st.sampled_from(["insured", "others", "again", "crash"]), st.just(0))
happenings = st.lists(
    st.one_of(changes, changes, days, responses, responses, responses, corrections), min_size=4, max_size=18
)


def started(shadow: bool = False) -> Course:
    """A claim whose original is out."""
    course = Course(shadow=shadow)
    course.decided(claims()[0])
    course.now += HOLD
    course.look()
    return course


def play(course: Course, happening: tuple[str, int | None]) -> None:
    what, which = happening
    if what.startswith("change"):
        course.decided(None if which is None else claims()[which])
        if what == "change and send":
            course.now += HOLD
            course.look()
    elif what == "days":
        course.now += timedelta(days=which or 0)
        course.look()
    elif what in ("insured", "others"):
        setattr(course, what, getattr(course, what) + "'")
        course.sequence += 1
        course.build()
    elif what == "again":
        course.build()
    elif what == "crash":
        course.asked(UNCHANGED)
    elif course.files:
        respond(course, what, list(reversed(course.files))[(which or 0) % len(course.files)])


def respond(course: Course, what: str, control: str) -> None:
    file = course.files[control]
    paid = any(one.kind == "835" and one.control == control for one in course.responses)
    if what in ("acknowledge", "number"):
        course.answer(control, "277CA", number=what == "number")
    elif what == "reject" and not paid:
        course.answer(control, "277CA", accepted=False)
    elif what == "pay" and file.frequency != VOID:
        course.answer(control, "835")
    elif what == "deny" and file.frequency != VOID:
        course.answer(control, "835", status="4")


def check_now(course: Course, seed: int) -> None:
    """What must hold at every moment."""
    step = course.step
    if step is None:
        return
    again = next_step(course.versions, UNCHANGED, course.responses, course.around(), course.now)
    assert again.versions == course.versions, "UNCHANGED again changes nothing"
    other = next_step(course.versions, UNCHANGED, shuffled(course.responses, seed), course.around(), course.now)
    assert other == again, "order and repetition of responses do not matter"
    latest = current(course.versions)
    if latest is None:
        return
    assert latest.frequency == VOID or not (latest.claim.errors and latest.state is State.EMITTED), "errors are held"
    if latest.state is State.REJECTED and latest.frequency != VOID and not latest.claim.errors and not course.shadow:
        assert (latest.frequency == REPLACEMENT) is bool(course.known()), (
            "a rejected one is left only as it would go out"
        )
    check_corrected(course)
    if latest.state in (State.TRANSMITTED, State.REJECTED) and not course.shadow:
        assert again.due or again.alerts, "everything sent is answered or watched"
        assert not again.settled


def check_corrected(course: Course) -> None:
    """If a party of the file were corrected now, or an error came to the claim: nothing with an error would go out."""
    parties = Parties("someone else", "others corrected")
    around = replace(course.around(), parties=lambda claim, as_of: parties)
    found = next_step(course.versions, UNCHANGED, course.responses, around, course.now).current
    assert found is None or found.frequency == VOID or found.state is not State.EMITTED or not found.claim.errors


def check_end(course: Course) -> None:
    """Every file is accepted from now on: the payer ends with the wanted claim, or with none."""
    before: object = None
    for _ in range(ROUNDS):
        if not course.open() and before == course.story():
            break
        before = course.story()
        course.others += "'"
        course.now += LATE
        course.look()
        for control in course.open():
            course.answer(control, "277CA")
        if any(alert.kind in UNNUMBERED for alert in course.look().alerts):
            for control in course.known():
                course.answer(control, "277CA")
    step = course.look()
    live = course.known()
    wanted = course.claim
    if wanted is None:
        assert live == [], "nothing is wanted, nothing is left at a payer"
    elif not wanted.errors:
        assert live, "the payer has the wanted claim"
        newest = course.files[live[-1]]
        assert billed(newest.claim) == billed(wanted), "the payer has the wanted claim"
        assert newest.insured == course.insured
        assert len(live) == 1 or course.twice or "claim_void_rejected" in {alert.kind for alert in step.alerts}


def billed(claim: Claim) -> Claim:
    """The claim without what no file shows."""
    return claim.model_copy(update={"advisories": (), "folded": (), "edits": ()})


@settings(max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck))
@given(happenings, st.integers(0, 9))
def test_every_sequence_keeps_the_rules_and_ends_with_the_wanted_claim(
    sequence: list[tuple[str, int | None]], seed: int
) -> None:
    course = started()
    for happening in sequence:
        play(course, happening)
        check_now(course, seed)
    check_end(course)


@settings(max_examples=max(SEQUENCES // 4, 50), deadline=None, suppress_health_check=list(HealthCheck))
@given(happenings, st.integers(0, 9))
def test_in_shadow_too(sequence: list[tuple[str, int | None]], seed: int) -> None:
    course = started(shadow=True)
    for happening in sequence:
        play(course, happening)
        check_now(course, seed)


@settings(max_examples=max(SEQUENCES // 4, 50), deadline=None, suppress_health_check=list(HealthCheck))
@given(happenings)
def test_retries_and_restarts_change_nothing(sequence: list[tuple[str, int | None]]) -> None:
    once, retried = started(), started()
    for happening in sequence:
        play(once, happening)
        play(retried, happening)
        retried.look()
        retried.build()
        assert retried.versions == once.versions
