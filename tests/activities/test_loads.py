"""An activity opens and parses the facts of an encounter at most once, and holders' facts only for a decision."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from store.engine import Database
from store.queries.claims import claim_keys
from store.tables import Encounter
from tests.kit.recorder import NOW, Recorder, feed, recorder
from tests.kit.site import live_site
from workflows.messages import ClaimMoment, ClaimQuestion, Question

Act = Callable[[Recorder, str, int, datetime], object]


@dataclass
class Reads:
    """What a piece of work read: the facts of each encounter, the holders' facts, statements in all."""

    own: Counter[str] = field(default_factory=Counter)
    holders: int = 0
    statements: int = 0


@contextmanager
def counted(db: Database) -> Iterator[Reads]:
    """Count the statements that reach the database."""
    reads = Reads()

    def count(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        reads.statements += not statement.startswith(("BEGIN", "PRAGMA"))
        if "inbox.body" in statement and "encounter_events" in statement:
            first = parameters[0] if isinstance(parameters, tuple) else next(iter(parameters.values()))
            reads.own[str(first)] += 1
        elif "inbox.body" in statement and re.search(r"inbox\.holder_event IS (1|true)", statement):
            reads.holders += 1

    event.listen(db.engine, "before_cursor_execute", count)
    try:
        yield reads
    finally:
        event.remove(db.engine, "before_cursor_execute", count)


def question(encounter: str, upto: int, now: datetime) -> Question:
    return Question(encounter=encounter, up_to_sequence=upto, now=now)


def of_claim(encounter: str, upto: int, now: datetime) -> ClaimQuestion:
    return ClaimQuestion(encounter=encounter, letter="C", ordinal=1, up_to_sequence=upto, now=now)


def moment(encounter: str, now: datetime) -> ClaimMoment:
    return ClaimMoment(encounter=encounter, letter="C", ordinal=1, now=now)


ACTIVITIES: dict[str, Act] = {
    "decide": lambda r, e, upto, now: r.activities.plan(question(e, upto, now)),
    "keep_custody": lambda r, e, upto, now: r.activities.keep_custody(question(e, upto, now)),
    "raise_alerts": lambda r, e, upto, now: r.activities.raise_alerts(question(e, upto, now)),
    "show_encounter": lambda r, e, upto, now: r.activities.show_encounter(question(e, upto, now)),
}
CLAIM: dict[str, Act] = {
    "build_claim": lambda r, e, upto, now: r.activities.build_claim(of_claim(e, upto, now)),
    "follow_claim": lambda r, e, _upto, now: r.activities.claim_life.follow_claim(moment(e, now)),
    "transmit_claim": lambda r, e, _upto, now: r.activities.claim_life.transmit_claim(moment(e, now)),
}
LATER = ("keep_custody", "raise_alerts", "show_encounter")
"""Activities that follow `decide` with the same question, in one worker."""


@pytest.fixture
async def answered(tmp_path: Path) -> AsyncIterator[tuple[Recorder, str, int]]:
    """An inpatient encounter whose claim C went out and was answered, with a report of stock that decisions read."""
    async with recorder(tmp_path, site=live_site(tmp_path)) as r:
        receipts = await r.post(feed("a_mcl_medicare_inpatient"))
        encounter = next(one["encounter_id"] for one in receipts["receipts"] if one["encounter_id"])
        first = last_sequence(r, encounter)
        r.decide(encounter, NOW)
        sent = NOW + timedelta(days=8)
        r.activities.claim_life.transmit_claim(moment(encounter, sent))
        await r.post([acknowledged(r, encounter, sent)])
        assert last_sequence(r, encounter) == first + 1
        yield r, encounter, first + 1


def last_sequence(r: Recorder, encounter: str) -> int:
    with r.service.db.read() as session:
        return session.get_one(Encounter, encounter).next_sequence - 1


def acknowledged(r: Recorder, encounter: str, at: datetime) -> dict[str, Any]:
    with r.service.db.read() as session:
        number = next(number for number, claim in claim_keys(session, encounter).items() if claim == "C/1")
    return {
        "specversion": "1.0",
        "id": "277CA-1",
        "source": "/x12/EXMACJK",
        "subject": number,
        "type": "cart.claim.acknowledged",
        "time": at.isoformat(),
        "data": {"control_number": number, "kind": "277CA", "accepted": True, "status_codes": ["A2:20"]},
    }


STATEMENTS = {"decide": 8, "keep_custody": 40, "raise_alerts": 8, "show_encounter": 8}
"""The most statements of each; a chain of identity is written link by link."""


@pytest.mark.parametrize("name", ACTIVITIES)
async def test_an_activity_loads_the_facts_of_its_encounter_once(
    name: str, answered: tuple[Recorder, str, int]
) -> None:
    r, encounter, upto = answered
    with counted(r.service.db) as reads:
        ACTIVITIES[name](r, encounter, upto, NOW + timedelta(days=9))
    assert (reads.own, reads.holders) == ({encounter: 1}, 1)
    assert reads.statements <= STATEMENTS[name]


@pytest.mark.parametrize("name", CLAIM)
async def test_an_activity_of_a_claim_loads_the_facts_once(name: str, answered: tuple[Recorder, str, int]) -> None:
    r, encounter, upto = answered
    with counted(r.service.db) as reads:
        CLAIM[name](r, encounter, upto, NOW + timedelta(days=9))
    assert reads.own == {encounter: 1}


async def test_what_follows_a_decision_loads_no_facts(answered: tuple[Recorder, str, int]) -> None:
    r, encounter, upto = answered
    now = NOW + timedelta(days=9)
    ACTIVITIES["decide"](r, encounter, upto, now)
    for name in LATER:
        with counted(r.service.db) as reads:
            ACTIVITIES[name](r, encounter, upto, now)
        assert (reads.own, reads.holders) == ({}, 0), name


async def test_a_decision_made_before_reads_the_facts_for_its_marks_alone(answered: tuple[Recorder, str, int]) -> None:
    r, encounter, upto = answered
    now = NOW + timedelta(days=9)
    ACTIVITIES["decide"](r, encounter, upto, now)
    with counted(r.service.db) as reads:
        ACTIVITIES["decide"](r, encounter, upto, now)
    assert (reads.own, reads.holders) == ({encounter: 1}, 0)
