"""A claim taken back at its payer: rejected too late or at all, waiting for a number, and the claim that waits behind it."""

from __future__ import annotations

from datetime import date, timedelta

from app.api.actors import Actor
from app.api.claim_worklists import worklist
from tests.kit.claim_life import REJECTED, Life


async def void_is_out(life: Life) -> None:
    await life.answered("277CA", life.rows()[0], payer_claim_number="MAC1")
    await life.moved_to_uhc()
    gone = life.look(days=5)
    assert gone.state == "voided"
    life.again(gone)


async def test_a_void_rejected_after_the_next_claim_went_out_keeps_its_alert_until_its_payer_accepts_it(
    life: Life,
) -> None:
    await void_is_out(life)
    life.look(days=5)
    assert life.story() == [("1", "superseded"), ("8", "voided"), ("1", "transmitted")]
    void = life.rows()[1]
    page = await life.r.http.get(f"/v1/encounters/{life.encounter}/claims/C", headers={"accept": "text/html"})
    assert "document control number" not in page.text  # the new claim refers to nothing
    await life.answered("277CA", void, **REJECTED)
    assert life.story() == [("1", "superseded"), ("8", "rejected"), ("1", "transmitted")]
    assert life.alerts() == {"claim_void_rejected"}
    assert life.rows()[2].standing["file_by"] is not None  # filed with the first payer is not filed with the next
    await life.answered("277CA", void)
    assert life.story()[1] == ("8", "voided")
    assert "claim_void_rejected" not in life.alerts()


async def test_a_rejected_void_goes_out_again_under_the_number_that_its_payer_names(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, payer_claim_number="MAC1")
    await life.moved_to_uhc()
    life.look(days=5)
    await life.answered("277CA", life.rows()[1], **REJECTED)
    life.look(days=1)
    assert life.alerts() == {"claim_void_rejected"}
    await life.answered("277CA", first, payer_claim_number="MAC2")
    assert life.story()[-1] == ("8", "emitted")
    page = await life.r.http.get(f"/v1/encounters/{life.encounter}/claims/C", headers={"accept": "text/html"})
    assert "<dt>FL 64 document control number</dt><dd>MAC2</dd>" in page.text
    assert life.look(days=5).state == "voided"
    assert "REF*F8*MAC2~" in life.files()[-1]
    assert life.alerts() == set()


async def test_a_claim_after_a_waiting_void_is_listed_as_unbilled_with_its_last_day(life: Life) -> None:
    await life.answered("277CA", life.rows()[0])
    await life.moved_to_uhc()
    life.look(days=20)
    assert life.story()[-1] == ("8", "emitted")
    assert life.alerts() == {"claim_replacement_waiting"}
    with life.r.service.db.read() as session:
        (entry,) = [
            one for one in worklist(session, "unbilled", Actor("biller"), life.now).entries if one.claim == "C/1"
        ]
    through = date.fromisoformat(life.rows()[0].document["statement_through"])
    assert (entry.payer, entry.due, entry.total > 0) == ("uhc", through + timedelta(days=90), True)
    assert entry.waits_for[0] == "the void of the claim before it"
    life.look(days=60)
    assert "claim_filing_ending" in life.alerts()


async def test_a_replacement_refers_to_the_number_of_the_payer_it_goes_to(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("835", first, status="19", paid="900.00", payer_claim_number="MAC1")
    await life.answered(
        "835", first, status="2", paid="50.00", payer_claim_number="SUPPLEMENT1", source="/x12/835/9876543210"
    )
    answer = await life.r.send(None, "GET", f"/v1/encounters/{life.encounter}/claims/C")
    payment = answer["payment"]
    assert (payment["kept"], payment["forwarded"], payment["paid_by_further"]) == ("900.00", True, "50.00")
    await life.charged("101.00")
    life.look(days=5)
    assert "REF*F8*MAC1~" in life.files()[-1]
