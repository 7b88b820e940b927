"""A year of encounters does not slow the pages: the median stays below 200 milliseconds."""

from __future__ import annotations

import statistics
import time

from sqlmodel import select

from activities.store.tables import AlertRecord, ClaimVersion, CustodyRecord, Encounter
from tests.board.conftest import Board

ENCOUNTERS, UNDER_WAY = 500, 120
LIMIT = 0.2
ROUNDS = 7


def _multiply(board: Board) -> list[str]:
    """Copies of the two encounters with everything that belongs to them; most of them closed."""
    made = []
    with board.db.write() as session:
        for number in range(ENCOUNTERS):
            source = (board.whole, board.held)[number % 2]
            copy_id = f"enc_copy{number:04}"
            for table, changed in ((Encounter, {}), (ClaimVersion, {"control_number": None}), (CustodyRecord, {})):
                for row in session.exec(select(table).where(table.encounter_id == source)).all():
                    session.add(table(**{**row.model_dump(), **changed, "encounter_id": copy_id}))
            for row in session.exec(select(AlertRecord).where(AlertRecord.encounter_id == source)).all():
                body = {**row.model_dump(), "encounter_id": copy_id, "alert_id": f"{row.alert_id}-{number}"}
                session.add(AlertRecord(**body))
            if number >= UNDER_WAY:
                session.flush()
                session.get_one(Encounter, copy_id).stage = "closed"
            made.append(copy_id)
    return made


async def test_the_median_page_of_a_year_is_fast(board: Board) -> None:
    made = _multiply(board)
    medians = {}
    for path in (
        "/",
        "/work/coordinator",
        "/work/biller",
        "/work/lab",
        "/closed",
        f"/encounters/{made[0]}",
        "/?part=live",
    ):
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert (await board.get(path)).status_code == 200
            took.append(time.perf_counter() - began)
        medians[path] = statistics.median(took)
    assert {path: round(took, 3) for path, took in medians.items() if took >= LIMIT} == {}
