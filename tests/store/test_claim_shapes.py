"""A database of an earlier release opens, and claims under way in it continue."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import col, select

from domain.billing.submission.model import State
from domain.billing.submission.versions import ClaimStatus, ClaimVersion
from store import claims
from store.engine import Database
from store.tables import ClaimVersion as Row
from store.tables import Encounter, Transmission
from tests.domain.billing.submission.course import START, Course, played, story

KEY = ("enc", "C", 1)
BEHIND = {"payer": "aetna", "through": "2026-06-29", "total": "100.00"}


def kept(db: Database, course: Course) -> None:
    """The course as rows: its versions and their transmissions."""
    with db.write() as session:
        session.add(Encounter(encounter_id=KEY[0], created_at=START))
    for number in range(1, len(course.versions) + 1):
        with db.write() as session:
            claims.save(session, KEY, course.versions[: number - 1], course.versions[:number])
    with db.write() as session:
        session.add_all(_transmission(one) for one in course.versions if one.sent is not None)


def _transmission(version: ClaimVersion) -> Transmission:
    sent = version.sent
    assert sent is not None
    return Transmission(
        encounter_id=KEY[0],
        letter=KEY[1],
        ordinal=KEY[2],
        version=version.number,
        control_number=f"CE{version.number:010d}",
        mode="live",
        receiver_id="EXAMPLE",
        interchange=version.number,
        payer=version.claim.payer,
        replaces_event=sent.number_from,
        insured_mark=sent.parties.insured,
        parties_mark=sent.parties.others,
        created_at=sent.at,
        written_at=sent.at if sent.written else None,
    )


def standing(db: Database, number: int) -> dict[str, Any]:
    with db.read() as session:
        return dict(session.get_one(Row, (*KEY, number)).standing)


def rewritten(db: Database, change: Callable[[Row], dict[str, Any]]) -> None:
    """Every `standing` as an earlier release wrote it."""
    with db.write() as session:
        for row in session.exec(select(Row).order_by(col(Row.version))):
            row.standing = change(row)
            session.add(row)


def loaded(db: Database, course: Course) -> Course:
    """The course that goes on from what the database holds, under the numbers that its responses know."""
    numbers = {one.number: one.control_number for one in course.versions}
    with db.read() as session:
        found = claims.load(session, KEY)
    course.versions = tuple(_renumbered(one, numbers[one.number]) for one in found)
    return course


def _renumbered(version: ClaimVersion, control: str | None) -> ClaimVersion:
    return replace(version, control_number=control)


def never_followed(row: Row) -> dict[str, Any]:
    return {}


def just_transmitted(row: Row) -> dict[str, Any]:
    return {"state": row.standing["state"]}


def without_secondary_payers(row: Row) -> dict[str, Any]:
    newer = {"kept", "paid_by_further", "forwarded", "crossover", "balance"}
    return {key: value for key, value in row.standing.items() if key not in newer}


def with_empty_behind(row: Row) -> dict[str, Any]:
    return {"behind": row.standing.get("behind")} if row.frequency == "8" else row.standing


SHAPES = (never_followed, just_transmitted, without_secondary_payers, with_empty_behind)
MIDDLES = [
    ("due base", "send", "1 transmitted"),
    ("due base; send", "numbered 1", "1 acknowledged"),
    ("due base; send; numbered 1; paid 1", "due late", "1 superseded, 7 emitted"),
    ("due base; send; numbered 1; due late", "send", "1 superseded, 7 transmitted"),
    ("due base; send; numbered 1; not due", "send", "1 superseded, 8 voided"),
    ("due base; send; rejected 1", "others", "1 superseded, 1 emitted"),
    ("due base!", "due base", "1 superseded, 1 emitted"),
    ("due base; not due", "due base", "1 withdrawn, 1 emitted"),
]
REBILLS = [
    ("due base; send; numbered 1; due aetna", "send", "1 superseded, 8 voided, 1 emitted"),
    ("due base; send; numbered 1; due aetna; send", "send", "1 superseded, 8 voided, 1 transmitted"),
    (
        "due base; send; numbered 1; due aetna; send; rejected 2",
        "numbered 1",
        "1 superseded, 8 superseded, 1 superseded, 8 emitted",
    ),
    (
        "due base; send; numbered 1; due aetna; send; send; rejected 2",
        "not due",
        "1 superseded, 8 rejected, 1 superseded, 8 emitted",
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize(("before", "then", "versions"), [*MIDDLES, *REBILLS])
def test_a_claim_under_way_continues(
    db: Database, before: str, then: str, versions: str, shape: Callable[[Row], dict[str, Any]]
) -> None:
    course = played(before)
    kept(db, course)
    keeps_rebill = shape in (without_secondary_payers, with_empty_behind)
    if (before, then, versions) in REBILLS and not keeps_rebill:
        rewritten(db, lambda row: shape(row) | {k: v for k, v in row.standing.items() if k == "behind"})
    else:
        rewritten(db, shape)
    played(then, course=loaded(db, course))
    assert story(course) == versions


@pytest.mark.parametrize("before", [before for before, _, _ in (*MIDDLES, *REBILLS)])
def test_what_is_loaded_is_what_was_saved(db: Database, before: str) -> None:
    course = played(before)
    kept(db, course)
    versions = course.versions
    assert loaded(db, course).versions == versions


def test_the_keys_of_the_column_are_those_of_every_release(db: Database) -> None:
    kept(db, played("due base; send; numbered 1; due aetna; paid 1"))
    first, void = standing(db, 1), standing(db, 2)
    assert set(first) == {
        *("state", "remitted_at", "paid", "kept", "paid_by_further", "forwarded", "crossover", "balance"),
        *("patient_responsibility", "refused", "shortfall", "appeal_by", "file_by", "refused_lines"),
        *("heard", "untold", "next", "next_due"),
    }
    assert (first["state"], first["heard"], first["untold"]) == ("paid", ["277CA", "835"], False)
    assert set(void["behind"]) == set(BEHIND)
    assert json.loads(json.dumps(void)) == void


def test_a_payment_recorded_before_secondary_payers_were_followed(db: Database) -> None:
    kept(db, played("due base; send; numbered 1; paid 1"))
    rewritten(db, lambda row: {"paid": "900.00", "patient_responsibility": "100.00", "state": "paid"})
    with db.read() as session:
        status = claims.load(session, KEY)[0].status
    noted = ClaimStatus(
        state=State.PAID,
        paid=Decimal("900.00"),
        kept=Decimal("900.00"),
        balance=Decimal("100.00"),
        patient_responsibility=Decimal("100.00"),
    )
    assert status == noted
