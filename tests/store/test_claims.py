"""Claims on both databases: one number, one version, one file under concurrent work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from store.engine import Database
from tests.activities.billing import test_transmission as claims
from tests.kit.recorder import Recorder, recorder

STORIES = (
    claims.test_workers_beside_each_other_send_each_claim_once_and_number_without_a_gap,
    claims.test_building_again_or_by_two_at_a_time_makes_one_version_with_one_number,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__.removeprefix("test_"))
async def test_on_both_databases(db: Database, tmp_path: Path, story: Callable[[Recorder], Awaitable[None]]) -> None:
    async with recorder(tmp_path, db.url) as r:
        await story(r)
