"""The claim worklists as pages: days, money, owner and what to do, for those who may read claims."""

from __future__ import annotations

from html import unescape

from store.tables import ClaimVersion
from tests.app.board.conftest import Board


async def test_each_list_shows_its_claims_with_days_and_money(board: Board) -> None:
    text = unescape((await board.get("/billing/unbilled")).text)
    assert "services completed, claim not transmitted" in text
    assert f"/encounters/{board.whole}#claims" in text
    assert "days" in text
    assert "$" in text
    for name in ("held", "unacknowledged", "denied"):
        assert f'href="/billing/{name}"' in text
        assert (await board.get(f"/billing/{name}")).status_code == 200
    assert (await board.get("/billing/other")).status_code == 404
    assert 'href="/billing/denied"' in (await board.get("/work/biller")).text


async def test_a_denied_claim_shows_what_was_refused_and_the_days_left(board: Board) -> None:
    standing = {
        "refused": "811565.25",
        "paid": "100.00",
        "appeal_by": "2026-07-05",
        "remitted_at": "2026-06-20T00:00:00+00:00",
    }
    with board.db.write() as session:
        claim = session.get_one(ClaimVersion, (board.whole, "C", 1, 1))
        kept = claim.state, claim.standing
        claim.state, claim.standing = "denied", standing
    try:
        text = unescape((await board.get("/billing/denied")).text)
        for part in ("$811,565.25", "paid $100.00", "2026-07-05", "10 days left", "biller"):
            assert part in text, part
    finally:
        with board.db.write() as session:
            row = session.get_one(ClaimVersion, (board.whole, "C", 1, 1))
            row.state, row.standing = kept
            session.add(row)


async def test_claims_are_for_those_who_may_read_them(board: Board) -> None:
    await board.sign_in("token-of-lab")
    assert (await board.get("/billing/unbilled")).status_code == 403
    assert "/billing/unbilled" not in (await board.get("/work/biller")).text
    await board.sign_in()
