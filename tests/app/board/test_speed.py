"""A year of encounters asks the database no more questions than a handful: `tests.bench.year` measures the seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event
from sqlmodel import select

from store.tables import AlertRecord, ClaimVersion, CustodyRecord, Encounter
from tests.app.board.conftest import Board

ENCOUNTERS, UNDER_WAY = 60, 20
PAGES = ("/", "/?part=live", "/alerts", "/work/coordinator", "/work/biller", "/work/lab", "/closed")


def _multiply(board: Board) -> None:
    """Copies of the two encounters with everything that belongs to them; most of them closed."""
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


@contextmanager
def counted(board: Board) -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(board.db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(board.db.engine, "before_cursor_execute", note)


async def _statements(board: Board) -> dict[str, int]:
    found = {}
    for path in PAGES:
        assert (await board.get(path)).status_code == 200
        with counted(board) as sent:
            assert (await board.get(path)).status_code == 200
        found[path] = len(sent)
    return found


async def test_a_page_asks_no_more_for_many_encounters_than_for_two(board: Board) -> None:
    few = await _statements(board)
    assert all(few.values())
    _multiply(board)
    assert await _statements(board) == few
