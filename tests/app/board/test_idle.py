"""Idle logoff (45 CFR 164.312(a)(2)(iii)): enforced by the server, kept by a person's acts alone, nothing typed is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import unescape

import pytest

from app.board.session import COOKIE
from tests.app.board.conftest import Board
from tests.kit.recorder import NOW, TOKEN


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock(board: Board) -> Iterator[Clock]:
    made, api = Clock(), board.recorder.api
    kept = api.state.parts
    api.state.parts = replace(kept, clock=made)
    yield made
    api.state.parts = kept


async def test_a_session_ends_after_the_idle_time_and_the_sign_in_says_so(board: Board, clock: Clock) -> None:
    own = f"/encounters/{board.whole}"
    clock.passes(minutes=14, seconds=59)
    assert (await board.get(f"{own}?part=live")).status_code == 200
    clock.passes(seconds=1)
    assert (await board.get(f"{own}?part=live")).status_code == 401
    over = await board.get(own)
    assert (over.status_code, over.headers["location"]) == (303, f"/sign-in?next={own}&why=idle")
    shown = await board.get(over.headers["location"])
    assert "signed out after 15 minutes without activity" in shown.text
    assert f'name="next" value="{own}"' in shown.text
    assert board.whole not in shown.text.replace(f'value="{own}"', "")
    back = await board.http.post("/sign-in", data={"token": TOKEN, "next": own})
    assert back.headers["location"] == own
    assert (await board.get(own)).status_code == 200


async def test_what_a_person_does_keeps_the_session_and_what_a_page_does_by_itself_does_not(
    board: Board, clock: Clock
) -> None:
    csrf = await board.csrf()
    for act in ("page", "post"):
        await board.sign_in()
        csrf = await board.csrf()
        for _ in range(4):
            clock.passes(minutes=10)
            given = await (board.get("/") if act == "page" else board.http.post("/session", data={"csrf": csrf}))
            assert given.status_code == (200 if act == "page" else 204), act
            assert COOKIE in given.headers["set-cookie"]
            assert "httponly" in given.headers["set-cookie"].lower()
    for _ in range(2):
        clock.passes(minutes=7)
        answer = await board.get("/?part=live")
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    clock.passes(minutes=1)
    assert (await board.get("/?part=live")).status_code == 401


async def test_the_cookie_is_renewed_at_most_once_a_minute(board: Board, clock: Clock) -> None:
    renewals = 0
    for _ in range(13):
        clock.passes(seconds=10)
        renewals += "set-cookie" in (await board.get("/")).headers
    assert renewals == 2


async def test_twelve_hours_stay_the_limit_whatever_a_person_does(board: Board, clock: Clock) -> None:
    for _ in range(71):
        clock.passes(minutes=10)
        answer = await board.get("/forms")
        assert answer.status_code == 200
    assert "max-age=600;" in answer.headers["set-cookie"].lower()
    clock.passes(minutes=10)
    over = await board.get("/forms")
    assert over.headers["location"] == "/sign-in?next=/forms"


async def test_the_secret_of_the_form_is_asked_for_and_a_signed_out_copy_is_not_kept(
    board: Board, clock: Clock
) -> None:
    csrf, copied = await board.csrf(), board.http.cookies[COOKIE]
    clock.passes(minutes=2)
    forged = await board.http.post("/session", data={"csrf": "x" * 32})
    assert (forged.status_code, "set-cookie" in forged.headers) == (403, False)
    elsewhere = await board.http.post("/session", data={"csrf": csrf}, headers={"sec-fetch-site": "cross-site"})
    assert (elsewhere.status_code, "set-cookie" in elsewhere.headers) == (403, False)
    out = await board.http.post("/sign-out", data={"csrf": csrf})
    assert 'cart_session=""' in out.headers["set-cookie"]
    board.http.cookies.clear()
    board.http.cookies.set(COOKIE, copied)
    assert (await board.http.post("/session", data={"csrf": csrf})).status_code == 401


async def filled(board: Board) -> tuple[str, dict[str, str]]:
    path = f"/encounters/{board.held}/forms/custody"
    opened = (await board.get(path)).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', opened))
    return path, {**hidden, "data.lot": "LOT-9", "who": "A. Nurse"}


async def test_what_was_typed_before_the_idle_time_is_kept(board: Board, clock: Clock) -> None:
    path, typed = await filled(board)
    before = board.events()
    clock.passes(minutes=16)
    over = await board.http.post(path, data=typed)
    assert over.status_code == 401
    assert "without activity. Sign in to continue; the text you typed is kept" in over.text
    assert 'name="kept.data.lot" value="LOT-9"' in over.text
    assert board.events() == before


async def test_a_form_of_an_earlier_session_is_shown_again_and_never_entered(board: Board) -> None:
    """Signed in again in another window: the page's own secret is of the session before."""
    path, typed = await filled(board)
    await board.sign_in()
    before = board.events()
    stale = await board.http.post(path, data=typed)
    assert (stale.status_code, "Your form was not entered" in stale.text) == (403, True)
    fields = {n: unescape(t) for n, t in re.findall(r'name="([^"]+)" value="([^"]*)"', stale.text.split("<main")[1])}
    shown = await board.http.post(path, data=fields)
    assert (shown.status_code, 'value="LOT-9"' in shown.text) == (200, True)
    assert board.events() == before
    foreign = await board.http.post(path, data=typed, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, "LOT-9" in foreign.text) == (403, False)
