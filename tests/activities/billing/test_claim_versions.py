"""Claims are kept once: late answers change nothing, explanations are refreshed, facts are loaded once for an activity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from domain.billing.model import Claim
from domain.billing.submission.model import UNCHANGED, Due
from domain.billing.submission.next_step import next_step
from domain.billing.submission.situation import Around
from domain.billing.submission.versions import Parties
from store import claims
from store.tables import ClaimLine, ClaimVersion, Encounter
from tests.kit.recorder import NOW, Recorder, feed, recorder
from workflows.messages import ClaimQuestion


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


@pytest.fixture
async def encounter(r: Recorder) -> str:
    receipts = await r.post(feed("a_mcl_medicare_inpatient"))
    found: str = receipts["receipts"][0]["encounter_id"]
    r.decide(found, NOW)
    return found


def row(r: Recorder, encounter: str) -> ClaimVersion:
    with r.service.db.read() as session:
        return claims.versions_of(session, encounter, "C", 1)[-1]


def question(r: Recorder, encounter: str, **changes: Any) -> ClaimQuestion:
    with r.service.db.read() as session:
        upto = session.get_one(Encounter, encounter).next_sequence - 1
    asked = {"encounter": encounter, "letter": "C", "ordinal": 1, "up_to_sequence": upto, "now": NOW}
    return ClaimQuestion(**(asked | changes))


def keep(r: Recorder, encounter: str, claim: Claim) -> None:
    """Due on the facts after those of the encounter, as `build_claim` keeps it."""
    key = (encounter, "C", 1)
    around = Around(r.service.config.rules(), r.service.config.site(), lambda claim, as_of: Parties())
    with r.service.db.write() as session:
        before = claims.load(session, key)
        step = next_step(before, Due(claim, before[-1].sequence + 1, NOW), (), around, NOW)
        claims.save(session, key, before, step.versions)
        after = claims.load(session, key)
    assert next_step(after, UNCHANGED, (), around, NOW).versions == after, "what is loaded is what was saved"


async def test_an_answer_to_an_older_question_changes_nothing(r: Recorder, encounter: str) -> None:
    r.activities.build_claim(question(r, encounter, now=NOW + timedelta(hours=1)))
    before = row(r, encounter).model_dump()
    r.activities.build_claim(question(r, encounter, up_to_sequence=3, now=NOW + timedelta(hours=2)))
    r.activities.build_claim(question(r, encounter, now=NOW))
    assert row(r, encounter).model_dump() == before
    r.activities.build_claim(question(r, encounter, now=NOW + timedelta(hours=2)))
    assert row(r, encounter).decided_at == NOW + timedelta(hours=2)


async def test_other_explanations_of_the_same_bill_are_saved_under_the_same_number(r: Recorder, encounter: str) -> None:
    before = row(r, encounter)
    claim = Claim.model_validate(before.document)
    first, *rest = claim.lines
    reason = first.reason.model_copy(update={"rule": "example.rule", "citation": "a newer page of the manual"})
    lines = (first.model_copy(update={"reason": reason}), *rest)
    keep(r, encounter, claim.model_copy(update={"lines": lines, "advisories": ("newer",), "folded": ("newer",)}))
    after = row(r, encounter)
    assert (after.version, after.control_number, after.sequence) == (1, before.control_number, before.sequence + 1)
    assert after.content_hash != before.content_hash
    assert after.document["lines"][0]["reason"]["citation"] == "a newer page of the manual"
    with r.service.db.read() as session:
        kept = session.exec(select(ClaimLine).where(ClaimLine.letter == "C").order_by(ClaimLine.number)).first()  # type: ignore[arg-type]
    assert kept is not None
    assert kept.rule == "example.rule"


async def test_a_clock_that_was_hours_ahead_and_is_set_back_stops_no_decision(r: Recorder, encounter: str) -> None:
    r.activities.build_claim(question(r, encounter, now=NOW + timedelta(hours=5)))
    r.decide(encounter, NOW + timedelta(hours=5))
    r.activities.build_claim(question(r, encounter, now=NOW))
    assert row(r, encounter).decided_at == NOW
    r.decide(encounter, NOW)
    with r.service.db.read() as session:
        assert session.get_one(Encounter, encounter).decided_at == NOW
