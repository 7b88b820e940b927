"""An installation of an earlier release goes on with today's code: what had come is not lost, what comes is billed right.

Its Temporal server is new, as after a restore: every encounter starts again from the database.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from app.process.deployment import wake_encounters
from app.tools.scenario_expectations import scenarios
from intake.scenario_feeds import expand
from store.config import ConfigCache
from store.engine import Database
from store.identifiers import look_up
from store.keys import Keyring, read_keyring
from store.tables import ClaimVersion, Transmission
from tests.kit.databases import SQLITE, engine_of_this_test, postgres_of_this_process
from tests.kit.earlier import Earlier, earlier
from tests.kit.releases import COMMITS
from tests.kit.worker import World, temporal_server, working
from tests.workflows.test_permutations import ANCHOR, _claims_follow, outcome


@pytest.fixture(params=sorted(COMMITS), scope="module")
def kept(request: pytest.FixtureRequest) -> Earlier:
    return earlier(request.param)


@pytest.fixture
def opened(kept: Earlier, tmp_path: Path, database_engine: str) -> tuple[Database, Keyring]:
    """The kept installation, migrated."""
    if engine_of_this_test() == SQLITE:
        url = kept.into_sqlite(tmp_path)
    else:
        url = kept.into_postgres(postgres_of_this_process(), f"kept_{uuid.uuid4().hex[:12]}", tmp_path)
    db = Database(url)
    db.migrate()
    return db, read_keyring(tmp_path / "keys.json")


@pytest.fixture
async def server(opened: tuple[Database, Keyring]) -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server(opened[1]) as environment:
        yield environment


async def test_every_encounter_ends_like_one_that_began_today(
    kept: Earlier, opened: tuple[Database, Keyring], server: WorkflowEnvironment, tmp_path: Path
) -> None:
    db, keys = opened
    sent = _sent(db)
    config = ConfigCache("current", None, kept.site(tmp_path))
    async with working(server, db, keys, config, tmp_path) as world:
        assert wake_encounters(db) > 0
        encounters = {}
        for subject, rest in kept.rest.items():
            again = [*kept.sent[subject][-3:], *rest]
            encounters[subject] = await world.post(*again)
        fresh = {}
        for scenario in scenarios():
            fresh[scenario.feed.name[0]] = await world.post(*expand(scenario.feed, ANCHOR, suffix="-fresh"))
        for name in (*encounters.values(), *fresh.values()):
            await world.settled(name)
            await world.eventually(lambda one=name: _claims_follow(world, one), "its claims follow its facts")
        expected = {letter: _content(world, name) for letter, name in fresh.items()}
        for subject, name in encounters.items():
            with db.read() as session:
                assert look_up(session, keys, subject) == [name], "no encounter was opened for it again"
            letter = subject.rsplit("kept-", 1)[-1][0]
            await world.eventually(
                lambda one=name, wanted=expected[letter]: _content(world, one) == wanted, f"{subject} is like a new one"
            )
    after = _sent(db)
    assert {key: after[key] for key in sent} == sent, "what was sent keeps its numbers"
    with db.read() as session:
        taken = [one for one in session.exec(select(ClaimVersion.control_number)) if one]
    interchanges = [(one[0], one[1], one[2]) for one in after.values()]
    assert len(set(interchanges)) == len(interchanges)
    assert taken
    db.close()


def _content(world: World, encounter: str) -> dict[str, object]:
    """What is open and what is billed. The kept installation has events, identifiers and alerts of its own besides, and
    some of its claims were answered by their payer.
    """
    found = outcome(world, encounter)
    claims = {key: claim[1:] for key, claim in found["claims"].items()}
    return {name: found[name] for name in found if name in ("stage", "holds", "outcome")} | {"claims": claims}


def _sent(db: Database) -> dict[tuple[str, str, int, int], tuple[str, str, int, str]]:
    """Every file that was sent: mode, receiver, interchange and control number."""
    with db.read() as session:
        return {
            (one.encounter_id, one.letter, one.ordinal, one.version): (
                one.mode,
                one.receiver_id,
                one.interchange,
                one.control_number,
            )
            for one in session.exec(select(Transmission))
        }
