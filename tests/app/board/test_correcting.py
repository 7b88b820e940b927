"""What was typed wrong is put right on the board: corrected or taken back by who and why, the original on record."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlmodel import select

from store.tables import Inbox
from tests.app.board.conftest import Board
from tests.app.board.filled import FILLED, path_of
from tests.app.board.markup import problems

BY_ENCOUNTER = sorted(set(FILLED) - {"acknowledgement", "certificate", "readiness"})
"""Forms whose entry belongs to their encounter; a payer response goes to the encounter of its claim."""


def _entries(board: Board) -> set[str]:
    with board.db.read() as session:
        return set(session.exec(select(Inbox.event_id).where(Inbox.feed.startswith("board:"))))  # type: ignore[attr-defined]


async def entered(board: Board, key: str) -> tuple[str, dict[str, Any]]:
    """Enter a form; the address of its entry, and the event."""
    before = _entries(board)
    assert (await board.enter(path_of(board, key), FILLED[key])).status_code == 303
    listed = (await board.get(f"/encounters/{board.held}/entries")).text
    assert not problems(listed)
    (new,) = _entries(board) - before
    path = f"/encounters/{board.held}/entries/{new}"
    assert f'href="{path}"' in listed
    return path, board.event(new)


def filled(page: str) -> dict[str, str]:
    """Every field of a form, as a browser would send it."""
    texts = dict(re.findall(r'<input [^>]*name="([^"]+)" value="([^"]*)"', page))
    texts |= dict(re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>', page))
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        texts[name] = chosen.group(1) if chosen else ""
    texts.pop("unknown", None)
    return {name: unescape(text) for name, text in texts.items()}


@pytest.mark.parametrize("key", BY_ENCOUNTER)
async def test_an_entry_comes_back_as_it_was_typed_and_its_correction_says_all_of_it(board: Board, key: str) -> None:
    path, event = await entered(board, key)
    page = (await board.get(path)).text
    assert not problems(page)
    given = {**filled(page), "who": "B. Lead", "why": "mistyped"}
    assert (await board.http.post(path, data=given)).status_code == 303
    correction = board.last_event()
    assert correction["type"] == "cart.correction.made"
    sent = correction["data"]
    assert sent["of"] == {"source": event["source"], "id": event["id"]}
    assert (sent["signer"], sent["reason"]) == ("B. Lead", "mistyped")
    ours, theirs = normal(sent["replacement"]), normal(event["data"])
    assert theirs.items() <= ours.items()


def normal(data: dict[str, Any]) -> dict[str, Any]:
    """Without the two ways of writing a number."""
    return {name: str(value) if isinstance(value, int | float) else value for name, value in data.items()}


async def test_a_wrong_scan_is_taken_back_and_nothing_else_is_asked(board: Board) -> None:
    path, event = await entered(board, "custody")
    given = {**filled((await board.get(path)).text), "data.coi_id": "", "retract": "yes"}
    nameless = await board.http.post(path, data={**given, "who": "", "why": ""})
    assert nameless.status_code == 422
    assert board.last_event()["id"] == event["id"]
    same = await board.http.post(path, data={**given, "who": "a. nurse", "why": "wrong bag in hand"})
    assert same.status_code == 422
    assert "another person than the one who recorded the transfer" in same.text
    answer = await board.http.post(path, data={**given, "who": "B. Lead", "why": "wrong bag in hand"})
    assert answer.status_code == 303
    assert "Correction: entered" in (await board.get(answer.headers["location"])).text
    sent = board.last_event()["data"]
    assert sent["retract"] is True
    assert "replacement" not in sent
    assert "retracted" in (await board.get(f"/encounters/{board.held}/entries")).text
    assert ("token", "enter cart.correction.made") in [(actor, action) for actor, action, _ in board.audit()]


async def test_a_correction_is_checked_like_an_entry(board: Board) -> None:
    path, event = await entered(board, "toxicity")
    given = {**filled((await board.get(path)).text), "who": "B. Lead", "why": "mistyped"}
    wrong = await board.http.post(path, data={**given, "data.crs_grade": "9"})
    assert wrong.status_code == 422
    later = await board.http.post(path, data={**given, "data.at": "2027-01-01T10:00"})
    assert "this is in the future" in later.text
    assert board.last_event()["id"] == event["id"]


async def test_only_who_may_enter_a_form_may_correct_it(board: Board) -> None:
    path, _ = await entered(board, "custody")
    grade, _ = await entered(board, "toxicity")
    await board.sign_in("token-of-lab")
    assert (await board.get(path)).status_code == 200
    assert (await board.get(grade)).status_code == 403
    assert "Toxicity grade" not in (await board.get(f"/encounters/{board.held}/entries")).text
    await board.sign_in("token-of-elsewhere")
    assert (await board.get(path)).status_code == 404
    await board.sign_in()
    strange = path.replace(board.held, board.whole)
    assert (await board.get(strange)).status_code == 404
