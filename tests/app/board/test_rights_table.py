"""Every page and form of the board, for every role of every facility, as the tables of rights say; none without secret."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from itertools import product

import pytest
from fastapi.routing import APIRoute

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import TABLE, Right, Role
from app.board import alerts, claim, event_entry, packet_download, pages, quarantine, routes
from app.board.forms import FORMS
from app.board.rights import BOARD_TABLE, BoardRight
from store.tables import AlertRecord, Encounter
from tests.app.board.conftest import Board
from tests.kit.rows import alert_row

STAFF = [role for role in Role if role in TABLE[Right.READ_ENCOUNTERS]]
SCOPES = ("all", "here", "there")
LISTS = ("/", "/closed", "/alerts", "/work/coordinator", "/work/biller", "/work/lab")
OPEN = {"/sign-in", "/board/{name}"}
WITHOUT_RIGHT, ELSEWHERE = 403, 404


@pytest.fixture
def callers(board: Board) -> Iterator[dict[tuple[Role, str], Actor]]:
    with board.db.read() as session:
        here = frozenset(session.get_one(Encounter, board.whole).facilities)
    facilities = {"all": None, "here": here, "there": frozenset({"st_mary_exempt"})}
    made = {(r, s): Actor(f"{r.value} {s}", frozenset({r}), facilities[s]) for r, s in product(STAFF, SCOPES)}
    known = board.recorder.api.state.parts.access.actors
    kept = dict(known)
    known |= {digest(actor.name): actor for actor in made.values()}
    yield made
    known.clear()
    known.update(kept)


def judged(allowed: bool, scope: str, fine: int) -> int:
    """The answer about an encounter that is here: no right comes first, then another facility's."""
    if not allowed:
        return WITHOUT_RIGHT
    return ELSEWHERE if scope == "there" else fine


async def test_every_page_answers_every_role_of_every_facility_as_the_tables_say(
    board: Board, callers: dict[tuple[Role, str], Actor]
) -> None:
    with board.db.write() as session:
        session.add(alert_row(encounter_id=board.whole, severity="info", owner="lab"))
    for (role, scope), actor in callers.items():
        assert (await board.sign_in(actor.name)).status_code == 303, actor.name
        for path in LISTS:
            answer = await board.get(path)
            assert answer.status_code == 200, (path, actor.name)
            assert scope != "there" or not {board.whole, board.held} & set(answer.text.split("/")), (path, actor.name)
        own = f"/encounters/{board.whole}"
        assert (await board.get(own)).status_code == judged(True, scope, 200)
        assert (await board.get(own + "?part=live")).status_code == judged(True, scope, 200)
        sees = role in BOARD_TABLE[BoardRight.SEE_IDENTITY]
        shown = await board.post(own + "/identity", purpose="care")
        assert shown.status_code == judged(sees, scope, 200), actor.name
        reads = role in TABLE[Right.READ_CLAIMS]
        assert (await board.get(own + "/claims/A/1")).status_code == judged(reads, scope, 200)
        packs = role in TABLE[Right.MAKE_PACKETS]
        packet = await board.post(own + "/packet", purpose="care", identity="withheld")
        assert packet.status_code in (judged(packs, scope, 200), judged(packs, scope, 422)), actor.name
        names = await board.post("/names", purpose="care")
        assert names.status_code == (200 if sees else WITHOUT_RIGHT)
        for answer in (shown, names):
            named = [one for one in board.secret if one in unescape(answer.text)]
            assert bool(named) is (sees and scope != "there"), actor.name
        for form in FORMS.values():
            may = role in BOARD_TABLE[form.right]
            alone = form.subject is not None or form.found_by is not None or form.opens
            wanted = 200 if may and alone else WITHOUT_RIGHT if not may else ELSEWHERE
            assert (await board.get(f"/forms/{form.key}")).status_code == wanted, (form.key, actor.name)
            assert (await board.get(f"{own}/forms/{form.key}")).status_code == judged(may, scope, 200)
            assert (await board.post(f"{own}/forms/{form.key}")).status_code == judged(may, scope, 422)
        takes = role in TABLE[Right.ACKNOWLEDGE_ALERTS]
        acknowledged = (await board.post("/alerts/alr_1/acknowledge")).status_code
        assert acknowledged in ((303, 409) if takes and scope != "there" else (judged(takes, scope, 303),)), actor.name
        retried = (await board.post("/alerts/deliveries/none/retry")).status_code
        assert retried == (404 if takes and scope == "all" else WITHOUT_RIGHT)
        looks, decides = role in TABLE[Right.READ_QUARANTINE], role in TABLE[Right.REPLAY_QUARANTINE]
        assert (await board.get("/quarantine")).status_code == (200 if looks and scope == "all" else WITHOUT_RIGHT)
        for step in ("replay", "close"):
            answer = await board.post(f"/quarantine/none/{step}", because="duplicate")
            assert answer.status_code == (404 if decides and scope == "all" else WITHOUT_RIGHT), (step, actor.name)
        found = await board.post("/find", reference=board.whole)
        assert found.status_code == judged(True, scope, 303)
    with board.db.write() as session:
        session.delete(session.get_one(AlertRecord, "alr_1"))
    turned_away = {(who, target) for who, _, target in board.audit() if target == board.whole}
    assert {f"{role.value} there" for role in STAFF} <= {who for who, _ in turned_away}


async def test_a_caller_whose_claims_give_no_facility_sees_no_more_than_one_of_another(board: Board) -> None:
    known = board.recorder.api.state.parts.access.actors
    known[digest("nowhere")] = Actor("nowhere", frozenset({Role.ADMIN}), frozenset())
    await board.sign_in("nowhere")
    for path in LISTS:
        text = (await board.get(path)).text
        assert board.whole not in text
        assert "/alerts/deliveries/" not in text
    assert (await board.get(f"/encounters/{board.whole}")).status_code == 404
    del known[digest("nowhere")]


async def test_no_form_is_taken_without_the_secret_of_the_session_or_from_another_site(board: Board) -> None:
    """Every address that changes something, whatever is added to the board later."""
    routers = (module.router for module in (pages, event_entry, alerts, routes, claim, packet_download, quarantine))
    found = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    posts = {route.path for route in found if "POST" in (route.methods or set())} - OPEN
    assert len(posts) >= 9
    csrf = await board.csrf()
    before = board.events()
    for path in posts:
        filled = path.format(
            encounter_id=board.whole,
            key="custody",
            alert_id="x",
            delivery_id="x",
            quarantine_id="x",
            letter="A",
            ordinal=1,
        )
        for fields in ({}, {"csrf": ""}, {"csrf": "x" * 32}, {"csrf": csrf[:-1]}):
            assert (await board.http.post(filled, data=fields)).status_code == 403, path
        for site in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
            answer = await board.http.post(filled, data={"csrf": csrf}, headers=site)
            assert answer.status_code == 403, (path, site)
    assert board.events() == before
    board.http.cookies.clear()
    for path in (route.path for route in found if route.path not in OPEN):
        filled = path.format(
            encounter_id=board.whole,
            key="custody",
            alert_id="x",
            delivery_id="x",
            quarantine_id="x",
            letter="A",
            ordinal=1,
        )
        for method in ("GET", "POST"):
            answer = await board.http.request(method, filled)
            assert answer.status_code in (303, 401, 405), (method, path)
            assert board.whole not in answer.text


async def test_a_page_that_asks_for_its_part_alone_is_on_record_too(board: Board) -> None:
    before = board.audit().count(("token", "board", board.held))
    for _ in range(3):
        assert (await board.get(f"/encounters/{board.held}?part=x")).status_code == 200
    assert board.audit().count(("token", "board", board.held)) == before + 1


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/\n/e", ""]
)
async def test_the_sign_in_leads_to_this_board_alone(board: Board, target: str) -> None:
    answer = await board.http.post("/sign-in", data={"token": "a-token-of-the-recording", "next": target})
    assert answer.headers.get("location", "/") == "/"
