"""What the pages show to each role, and what they never show."""

from __future__ import annotations

import re
from html import unescape

import pytest
from sqlmodel import select

from app.api.roles import Role
from app.board.rights import BOARD_TABLE, BoardRight
from app.board.worklists import WORKLISTS
from domain.rulebook import Rulebook
from intake.inbox.receive import receive
from store.tables import AlertDelivery, AlertRecord, AuditEntry, ClaimVersion, Encounter, Quarantine
from tests.app.board.conftest import Board
from tests.app.board.markup import problems
from tests.kit import events as e
from tests.kit.recorder import NOW

PAGES = (
    "/",
    "/closed",
    "/alerts",
    "/quarantine",
    "/work/coordinator",
    "/work/biller",
    "/work/lab",
    "/billing/unbilled",
    "/forms",
    "/forms/custody",
)


async def test_without_a_session_every_page_leads_to_the_sign_in(board: Board) -> None:
    board.http.cookies.clear()
    for path in (*PAGES, f"/encounters/{board.whole}"):
        answer = await board.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in")
    assert (await board.get("/?part=live")).status_code == 401


async def test_the_token_opens_a_session_that_no_script_reads_and_no_other_site_sends(board: Board) -> None:
    answer = await board.sign_in()
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303
    for part in ("httponly", "samesite=strict", "path=/", "max-age=43200"):
        assert part in cookie
    assert "a-token-of-the-recording" not in cookie


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("", 401), ("token-of-feed", 403)])
async def test_no_other_token_opens_a_session(board: Board, token: str, status: int) -> None:
    answer = await board.sign_in(token)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert (await board.get("/")).status_code == 303


async def test_a_session_ends_with_its_token_with_its_time_and_with_the_sign_out(board: Board) -> None:
    actors = board.recorder.api.state.parts.access.actors
    kept = dict(actors)
    actors.clear()
    assert (await board.get("/")).status_code == 303
    actors.update(kept)
    assert (await board.get("/")).status_code == 200
    copied = board.http.cookies["cart_session"]
    assert (await board.post("/sign-out")).status_code == 303
    assert (await board.get("/")).status_code == 303
    board.http.cookies.set("cart_session", copied)
    assert (await board.get("/")).status_code == 303
    assert (await board.get("/?part=live")).status_code == 401


async def test_a_forged_or_altered_cookie_is_no_session(board: Board) -> None:
    value = board.http.cookies["cart_session"]
    for forged in ("", "x", value[:-6] + "AAAAAA", value[4:]):
        board.http.cookies.clear()
        board.http.cookies.set("cart_session", forged)
        assert (await board.get("/")).status_code == 303


async def test_the_board_lists_encounters_by_stage_with_holds_and_days(board: Board) -> None:
    text = unescape((await board.get("/")).text)
    assert text.index("Apheresis") < text.index(board.held) < text.index("Monitoring") < text.index(board.whole)
    assert "Manufacturer's authorization of the collection center" in text
    assert "15 days in stage" in text
    looks = dict(re.findall(r'<li class="card (\w+)">\s*<h3><a href="/encounters/(\w+)"', text))
    assert looks == {"held": board.held, "clear": board.whole}


async def test_an_encounter_shows_timeline_gates_holds_claims_with_reasons_and_custody(board: Board) -> None:
    text = unescape((await board.get(f"/encounters/{board.whole}")).text)
    for part in ("<svg", "vein to vein: 24 days", "Claim A/1", "per collection", "intact", "Courier"):
        assert part.lower() in text.lower(), part
    assert not [source for source in ("codes.collection.38206", "G205") if source in text]
    held = unescape((await board.get(f"/encounters/{board.held}")).text)
    for part in ("closed", "missing", "This hold cannot be overridden", "prevents denial 1", "Acknowledge by"):
        assert part in held, part


async def test_no_page_carries_an_identifier_of_a_patient(board: Board) -> None:
    paths = (*PAGES, *(f"/encounters/{one}{part}" for one in (board.whole, board.held) for part in ("", "?part=live")),
             f"/encounters/{board.held}/forms/override", f"/encounters/{board.held}/forms/evidence?kind=ecog")  # fmt: skip
    assert len(board.secret) > 8
    for path in paths:
        answer = await board.get(path)
        assert answer.status_code == 200, path
        assert {one for one in board.secret if one in unescape(answer.text)} == set(), path


async def test_identity_is_shown_once_for_a_purpose_and_on_record(board: Board) -> None:
    shown = await board.post(f"/encounters/{board.whole}/identity", purpose="match")
    assert shown.status_code == 200
    assert len([one for one in board.secret if one in unescape(shown.text)]) >= 3
    assert ("token", "show identity (match)", board.whole) in board.audit()
    assert (await board.post(f"/encounters/{board.whole}/identity", purpose="curiosity")).status_code == 422
    names = await board.post("/names", purpose="care")
    assert [one for one in board.secret if one in unescape(names.text)]
    assert ("token", "show name (care)", board.held) in board.audit()


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.FEED, Role.EMERGENCY)])
async def test_identity_is_for_the_roles_of_the_table(board: Board, role: Role) -> None:
    await board.sign_in(f"token-of-{role.value}")
    allowed = role in BOARD_TABLE[BoardRight.SEE_IDENTITY]
    for path in (f"/encounters/{board.whole}/identity", "/names"):
        answer = await board.post(path, purpose="care")
        assert answer.status_code == (200 if allowed else 403), (role, path)
        assert bool([one for one in board.secret if one in unescape(answer.text)]) is allowed
    assert ("Show identity" in (await board.get(f"/encounters/{board.whole}")).text) is allowed


async def test_claims_and_custody_are_for_the_roles_that_may_read_them(board: Board) -> None:
    for role, claims, custody in (("lab", False, True), ("biller", True, False), ("coordinator", True, True)):
        await board.sign_in(f"token-of-{role}")
        text = (await board.get(f"/encounters/{board.whole}")).text
        assert ("Claim A/1" in text, '<h2 id="custody">' in text) == (claims, custody), role


async def test_outside_its_facilities_a_caller_sees_nothing(board: Board) -> None:
    await board.sign_in("token-of-elsewhere")
    for path in ("/", "/work/coordinator", "/work/lab", "/closed"):
        text = (await board.get(path)).text
        assert board.whole not in text
        assert board.held not in text
    assert (await board.get(f"/encounters/{board.whole}")).status_code == 404
    assert (await board.get(f"/encounters/{board.whole}/forms/evidence")).status_code == 404
    assert (await board.post(f"/encounters/{board.whole}/identity", purpose="care")).status_code == 404


async def test_a_reading_goes_on_record_once_and_not_at_every_refresh(board: Board) -> None:
    before = len(board.audit())
    await board.get(f"/encounters/{board.whole}")
    assert len(board.audit()) == before + 1
    await board.get(f"/encounters/{board.whole}?part=live")
    assert len(board.audit()) == before + 1


async def test_an_identifier_finds_its_encounter_and_is_in_no_address(board: Board) -> None:
    order = next(one for one in board.secret if one.startswith("ORD"))
    answer = await board.post("/find", reference=f" {order} ")
    assert answer.status_code == 303
    assert answer.headers["location"] in (f"/encounters/{board.whole}", f"/encounters/{board.held}")
    assert order not in answer.headers["location"]
    assert (await board.post("/find", reference="ORD-UNKNOWN")).status_code == 404


async def test_an_alert_is_acknowledged_from_the_page_and_stays_open_until_its_cause_is_gone(board: Board) -> None:
    page = f"/encounters/{board.held}"
    text = (await board.get(page)).text
    alert = text.split('action="/alerts/')[1].split("/")[0]
    answer = await board.post(f"/alerts/{alert}/acknowledge", back=page, note="called the manufacturer")
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    with board.db.read() as session:
        row = session.get_one(AlertRecord, alert)
    assert (row.state, row.acknowledged_by) == ("acknowledged", "admin")
    assert "called the manufacturer" not in (await board.get(page)).text
    astray = await board.post(f"/alerts/{alert}/acknowledge", back="//evil.example/")
    assert astray.headers["location"] == "/"
    await board.sign_in("token-of-auditor")
    assert (await board.post(f"/alerts/{alert}/acknowledge", back=page)).status_code == 403


async def test_worklists_hold_what_their_roles_own(board: Board) -> None:
    coordinator = (await board.get("/work/coordinator")).text
    assert board.held in coordinator
    assert "Have the manufacturer list the collection center" in unescape(coordinator)
    lab = (await board.get("/work/lab")).text
    assert "Where the cells are" in lab
    assert board.whole in lab
    assert (await board.get("/work/unknown")).status_code == 404


async def test_a_claim_denied_long_after_the_encounter_closed_is_on_the_billers_list(board: Board) -> None:
    standing = {"refused": "811565.25", "appeal_by": "2026-10-22", "next": "Appeal with the prior authorization."}
    with board.db.write() as session:
        claim = session.get_one(ClaimVersion, (board.whole, "C", 1, 1))
        kept = claim.state, claim.standing
        claim.state, claim.standing = "denied", standing
        session.get_one(Encounter, board.whole).stage = "closed"
        for number in range(60):
            session.add(Encounter(encounter_id=f"enc_later{number}", created_at=NOW, stage="closed", decided_at=NOW))
    try:
        text = unescape((await board.get("/work/biller")).text)
        for part in (
            board.whole,
            "Claim C/1 is denied: $811,565.25",
            "Appeal with the prior",
            "Due 2026-10-22",
        ):
            assert part in text, part
        assert "enc_later" not in text
        await board.sign_in("token-of-lab")
        assert "Claim C/1" not in (await board.get("/work/biller")).text
    finally:
        with board.db.write() as session:
            claim = session.get_one(ClaimVersion, (board.whole, "C", 1, 1))
            claim.state, claim.standing = kept
            session.get_one(Encounter, board.whole).stage = "monitoring"
            for number in range(60):
                session.delete(session.get_one(Encounter, f"enc_later{number}"))


async def test_text_that_came_from_outside_is_escaped(board: Board) -> None:
    evil = '<script>alert("x")</script>'
    with board.db.write() as session:
        row = session.get_one(Encounter, board.held)
        kept = row.view
        row.view = {**kept, "holds": [{**kept["holds"][0], "title": evil, "missing": evil, "fix": evil}]}
        row.rulebook_digest += "'"
        session.add(row)
    try:
        for path in ("/", f"/encounters/{board.held}", "/work/coordinator"):
            text = (await board.get(path)).text
            assert "<script>alert" not in text
            assert "&lt;script&gt;alert" in text.lower()
    finally:
        with board.db.write() as session:
            row = session.get_one(Encounter, board.held)
            row.view = kept
            row.rulebook_digest = row.rulebook_digest.removesuffix("'")
            session.add(row)


async def test_every_answer_is_fenced_in(board: Board) -> None:
    for path in (*PAGES, "/sign-in", "/forms/none", "/board/board.js"):
        headers = (await board.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert (await board.get("/")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [*PAGES, "/sign-in", "/forms/certificate", "/forms/none", "/encounters/{whole}", "/encounters/{held}",
     *(f"/encounters/{{held}}/forms/{key}" for key in ("evidence", "evidence?kind=cd19_flow", "custody", "release",
       "toxicity", "override", "disposition", "coding", "authorization"))],
)  # fmt: skip
async def test_pages_are_whole_and_usable_without_eyes_or_mouse(board: Board, path: str) -> None:
    answer = await board.get(path.format(whole=board.whole, held=board.held))
    assert problems(answer.text) == []


async def test_the_program_interface_keeps_its_own_errors(board: Board) -> None:
    answer = await board.get("/v1/encounters")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_concerns_no_single_encounter_is_for_those_who_see_the_whole_house(board: Board) -> None:
    with board.db.write() as session:
        session.add(house_alert("alr_house"))
    assert "A feed is silent" in (await board.get("/work/coordinator")).text
    await board.sign_in("token-of-elsewhere")
    assert "A feed is silent" not in (await board.get("/work/coordinator")).text
    with board.db.write() as session:
        session.delete(session.get_one(AlertRecord, "alr_house"))


def house_alert(alert_id: str) -> AlertRecord:
    return AlertRecord(
        alert_id=alert_id,
        key="silent",
        kind="feed_silent",
        severity="warning",
        owner="integration",
        title="A feed is silent",
        action="Ask its owner.",
        citation="design section 4",
        rule="r",
        since=NOW,
        opened_at=NOW,
        acknowledge_by=NOW,
    )


def test_every_owner_of_the_rulebook_has_a_worklist(rules: Rulebook) -> None:
    owners = {str(row.owner) for table in rules.rows.values() for row in table if getattr(row, "owner", None)}
    assert len(owners) > 5
    assert owners <= {owner for one in WORKLISTS.values() for owner in one.owners}


async def test_alerts_stand_by_cause_and_a_cause_is_taken_at_once(board: Board) -> None:
    page = (await board.get("/alerts")).text
    assert "Certificate authorized center" in page
    assert page.count('name="cause" value="certificate.authorized_center"') == 1
    answer = await board.post("/alerts/acknowledge", cause="certificate.authorized_center", note="asked for")
    assert answer.status_code == 303
    with board.db.read() as session:
        rows = session.exec(select(AlertRecord).where(AlertRecord.layer == "authorized_center")).all()
    assert {row.state for row in rows} == {"acknowledged"}
    assert 'value="certificate.authorized_center"' not in (await board.get("/alerts")).text
    assert (await board.post("/alerts/acknowledge", cause="nothing")).status_code == 404


async def test_messages_that_did_not_arrive_are_shown_and_tried_again(board: Board) -> None:
    with board.db.write() as session:
        session.add(
            AlertDelivery(
                delivery_id="dlv_board",
                destination="pager",
                cause="certificate.fact",
                change="opened",
                alert_ids=["a", "b"],
                created_at=NOW,
                next_attempt_at=NOW,
                state="dead",
                attempts=7,
                last_error="answered 503",
            )
        )
    page = (await board.get("/alerts")).text
    assert "Undelivered alert messages" in page
    assert "answered 503" in page
    assert (await board.post("/alerts/deliveries/dlv_board/retry")).status_code == 303
    with board.db.write() as session:
        row = session.get_one(AlertDelivery, "dlv_board")
        assert row.state == "waiting"
        session.delete(row)
    await board.sign_in("token-of-elsewhere")
    assert "Undelivered alert messages" not in (await board.get("/alerts")).text
    assert (await board.post("/alerts/deliveries/dlv_board/retry")).status_code == 403


async def test_a_packet_is_made_from_the_page_for_a_purpose_and_on_record(board: Board) -> None:
    path = f"/encounters/{board.whole}/packet"
    answer = await board.post(path, purpose="audit")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF")
    assert ("token", "packet of encounter, identity shown (audit)", board.whole) in board.audit()
    assert (await board.post(path, purpose="curiosity")).status_code == 422
    assert (await board.post(f"/encounters/{board.whole}/claims/C/1/packet", purpose="claim")).status_code == 409
    for role, allowed in (("lab", False), ("auditor", True)):
        await board.sign_in(f"token-of-{role}")
        assert ("Evidence packets" in (await board.get(f"/encounters/{board.whole}")).text) is allowed
        assert (await board.post(path, purpose="audit")).status_code == (200 if allowed else 403)
    assert ("the auditor", "packet of encounter, identity withheld (audit)", board.whole) in board.audit()


async def test_a_denied_claim_offers_the_packet_that_answers_it(board: Board) -> None:
    page = f"/encounters/{board.whole}"
    assert "Evidence packet for the denial" not in (await board.get(page)).text
    with board.db.write() as session:
        claim = session.get_one(ClaimVersion, (board.whole, "C", 1, 1))
        kept, claim.state = claim.state, "denied"
    try:
        text = (await board.get(page)).text
        assert "Evidence packet for the denial of C/1 (PDF)" in text
        assert f'action="{page}/claims/C/1/packet"' in text
    finally:
        with board.db.write() as session:
            session.get_one(ClaimVersion, (board.whole, "C", 1, 1)).state = kept


async def test_the_form_of_a_claim_is_one_step_from_its_encounter_and_its_reading_is_on_record(board: Board) -> None:
    page = f"/encounters/{board.whole}/claims/C/1"
    assert page in (await board.get(f"/encounters/{board.whole}")).text
    answer = await board.get(page)
    assert answer.status_code == 200
    assert "FL 4 type of bill" in answer.text
    assert not any(secret in answer.text for secret in board.secret)
    with board.recorder.service.db.read() as store:
        seen = store.exec(select(AuditEntry).where(AuditEntry.action == "claim form")).all()
    assert [entry.target for entry in seen] == [board.whole]
    assert (await board.get(f"/encounters/{board.whole}/claims/C/9")).status_code == 404


async def test_what_was_kept_is_tried_again_and_closed_from_the_page(board: Board) -> None:
    stray = e.custody("c-9", subject="COI-NOBODYS", coi="COI-NOBODYS")
    receive(board.db, board.recorder.service.keys, stray, NOW, "lab")
    page = (await board.get("/quarantine")).text
    assert problems(page) == []
    entry = re.search(r'action="/quarantine/(qua_[^/]+)/replay"', page)
    assert entry
    assert "no encounter is known by this subject" in page
    path = f"/quarantine/{entry.group(1)}"
    assert (await board.post(f"{path}/replay")).status_code == 303
    refused = await board.post(f"{path}/close", because="other")
    assert refused.status_code == 422
    assert "write a note" in refused.text
    assert (await board.post(f"{path}/close", because="not_ours", note="of Xiomara")).status_code == 303
    page = (await board.get("/quarantine")).text
    assert f'aria-labelledby="q-{entry.group(1)}"' not in page
    assert "not a patient of this program" in page
    assert "Xiomara" not in page
    with board.db.read() as session:
        row = session.get_one(Quarantine, entry.group(1))
        assert (row.state, row.closed_by, row.closed_from) == ("closed", "admin", "waiting")
