"""A claim after its emission: hold, transmission, silence, answers, replacement and void, at the claim's own time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmodel import select

from domain.billing.x12 import validate
from domain.billing.x12.validation import guide_findings
from store.tables import AlertRecord
from tests.kit.site import copied
from tests.kit.worker import World, read_by
from tests.workflows.claims import (
    correction,
    emitted,
    file_of,
    handle,
    late_charge,
    open_alerts,
    pass_days,
    remitted,
    reply,
    sent,
    state,
)
from workflows.names import claim_workflow_id

Event = dict[str, Any]


async def test_a_claim_waits_for_the_bill_hold_goes_out_and_is_followed_until_it_is_paid(world: World) -> None:
    encounter, _ = await emitted(world, "-life")
    await pass_days(world, encounter, 3)
    assert sent(world, encounter) == []
    await pass_days(world, encounter, 1.1)
    row = await state(world, encounter, "transmitted")
    (out,) = await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at], "written")
    text = file_of(world, out).read_text()
    assert validate(text) == []
    assert f"CLM*{row.control_number}*" in text
    assert out.mode == "live"
    assert text.split("*")[15].startswith("P")
    await pass_days(world, encounter, 4)
    await world.eventually(
        lambda: open_alerts(world, encounter) == {"claim_999_overdue", "claim_277ca_overdue"}, "silence"
    )
    await world.post(reply("999", row))
    await state(world, encounter, "acknowledged")
    await world.eventually(lambda: open_alerts(world, encounter) == {"claim_277ca_overdue"}, "the 277CA is due")
    await world.post(reply("277CA", row, 2, payer_claim_number="PAYER1"))
    await world.eventually(lambda: not open_alerts(world, encounter), "no alert")
    paid = remitted(row, 3, paid="400000.00", adjustments=[{"group": "CO", "carc": "45", "amount": "1.00"}])
    await world.post(paid)
    await state(world, encounter, "paid")
    await handle(world, encounter).result()
    assert len(sent(world, encounter)) == 1
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_paid")


async def test_claims_of_one_partner_wait_for_their_batch_and_go_out_in_one_file(world: World, tmp_path: Path) -> None:
    files = copied(tmp_path)
    text = files.site.read_text(encoding="utf-8")
    files.site.write_text(text.replace("batch_minutes = 0", "batch_minutes = 60"), encoding="utf-8")
    with read_by(world, files):
        encounter, _ = await emitted(world, "-batch")
        await pass_days(world, encounter, 4.01)
        await state(world, encounter, "transmitted")
        await pass_days(world, encounter, 4.02, "A")
        await state(world, encounter, "transmitted", letter="A")
        (first,), (second,) = sent(world, encounter), sent(world, encounter, "A")
        assert (first.interchange, first.set_number, second.set_number) == (second.interchange, 1, 2)
        assert not file_of(world, first).exists()
        await pass_days(world, encounter, 0.05)
        await world.eventually(lambda: all(s.written_at for s in sent(world, encounter)), "written")
        out = file_of(world, first).read_text()
        assert guide_findings(out) == []
        assert [line.split("*")[2] for line in out.splitlines() if line.startswith("ST*")] == ["0001", "0002"]
        assert sent(world, encounter, "A")[0].written_at is not None
        await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_batch")


async def test_a_change_before_transmission_rebuilds_and_after_it_replaces(world: World) -> None:
    encounter, events = await emitted(world, "-replaced")
    await world.post(late_charge(events, "101.00"))
    await state(world, encounter, "emitted", 2)
    await pass_days(world, encounter, 5)
    second = await state(world, encounter, "transmitted", 2)
    assert second.frequency == "1"
    await world.post(late_charge(events, "102.00"))
    third = await state(world, encounter, "emitted", 3)
    assert third.frequency == "7"
    await pass_days(world, encounter, 9)
    await world.eventually(lambda: "claim_replacement_waiting" in open_alerts(world, encounter), "a number is missing")
    assert [row.version for row in sent(world, encounter)] == [2]
    await world.post(reply("277CA", second, payer_claim_number="PAYER77"))
    await state(world, encounter, "transmitted", 3)
    out = (await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at][1:], "written"))[0]
    text = file_of(world, out).read_text()
    assert "REF*F8*PAYER77~" in text
    assert ":A:7*" in text
    assert validate(text) == []
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_replaced")


async def test_a_claim_that_is_no_longer_due_is_voided_at_the_payer(world: World) -> None:
    encounter, events = await emitted(world, "-voided")
    await pass_days(world, encounter, 5, "A")
    first = await state(world, encounter, "transmitted", letter="A")
    await world.post(reply("277CA", first, payer_claim_number="PAYER9"))
    await state(world, encounter, "acknowledged", letter="A")
    collected = next(e for e in events if e["type"] == "cart.apheresis.completed")
    await world.post(correction(collected, retract=True))
    void = await state(world, encounter, "emitted", 2, "A")
    assert void.frequency == "8"
    await pass_days(world, encounter, 5, "A")
    await state(world, encounter, "voided", 2, "A")
    out = (await world.eventually(lambda: [s for s in sent(world, encounter, "A") if s.written_at][1:], "written"))[0]
    text = file_of(world, out).read_text()
    assert "REF*F8*PAYER9~" in text
    assert ":A:8*" in text
    await world.post(reply("277CA", void, 2))
    await handle(world, encounter, "A").result()
    await world.record(claim_workflow_id(encounter, "A", 1), "claim_life_voided")


async def test_a_void_that_is_rejected_and_then_taken_in_is_followed_until_the_money_is_taken_back(
    world: World,
) -> None:
    """Each accepted void starts the question what comes after it; `…_asked_once` is of the workflow before that patch."""
    encounter, events = await emitted(world, "-void-doubted")
    await pass_days(world, encounter, 5, "A")
    first = await state(world, encounter, "transmitted", letter="A")
    await world.post(remitted(first, paid="900.00", payer_claim_number="PAYER7"))
    await world.eventually(lambda: world.claims(encounter)["A/1"].standing.get("paid") == "900.00", "paid")
    collected = next(e for e in events if e["type"] == "cart.apheresis.completed")
    await world.post(correction(collected, retract=True))
    void = await state(world, encounter, "emitted", 2, "A")
    await pass_days(world, encounter, 5, "A")
    await state(world, encounter, "voided", 2, "A")
    await world.post(reply("277CA", void, 2, accepted=False, status_codes=["A7:562"]))
    await state(world, encounter, "rejected", 2, "A")
    await world.post(reply("277CA", void, 3))
    await state(world, encounter, "voided", 2, "A")
    await world.post(remitted(first, 4, status="22", paid="-900.00"))
    await handle(world, encounter, "A").result()
    await world.record(claim_workflow_id(encounter, "A", 1), "claim_life_void_doubted")


async def test_a_claim_that_belongs_to_another_facility_is_voided_there_and_rebilled(world: World) -> None:
    encounter, events = await emitted(world, "-moved")
    await pass_days(world, encounter, 5, "A")
    first = await state(world, encounter, "transmitted", letter="A")
    await world.post(reply("277CA", first, payer_claim_number="PAYER5"))
    await state(world, encounter, "acknowledged", letter="A")
    collected = next(e for e in events if e["type"] == "cart.apheresis.completed")
    await world.post(correction(collected, replacement={**collected["data"], "facility": "st_mary_exempt"}))
    void = await state(world, encounter, "emitted", 2, "A")
    assert void.frequency == "8"
    await pass_days(world, encounter, 5, "A")
    rebilled = await state(world, encounter, "transmitted", 3, "A")
    assert rebilled.frequency == "1"
    await world.eventually(lambda: len([s for s in sent(world, encounter, "A") if s.written_at]) == 3, "written")
    texts = [file_of(world, one).read_text() for one in sent(world, encounter, "A")]
    assert [text.split(":A:")[1][0] for text in texts] == ["1", "8", "1"]
    assert ["REF*F8*PAYER5~" in text for text in texts] == [False, True, False]
    await world.record(claim_workflow_id(encounter, "A", 1), "claim_life_moved")


async def test_a_rejected_claim_is_corrected_as_a_new_one(world: World) -> None:
    encounter, events = await emitted(world, "-rejected")
    await pass_days(world, encounter, 5)
    first = await state(world, encounter, "transmitted")
    await world.post(reply("277CA", first, accepted=False, status_codes=["A7:562"]))
    await state(world, encounter, "rejected")
    await world.eventually(lambda: "claim_rejected" in open_alerts(world, encounter), "the alert opens")
    await world.post(late_charge(events))
    second = await state(world, encounter, "emitted", 2)
    assert second.frequency == "1"
    await world.eventually(lambda: "claim_rejected" not in open_alerts(world, encounter), "it is resolved")


async def test_a_rejection_that_comes_after_its_replacement_was_built_lets_it_go_as_an_original(world: World) -> None:
    encounter, events = await emitted(world, "-stranded")
    await pass_days(world, encounter, 5)
    first = await state(world, encounter, "transmitted")
    await world.post(late_charge(events, "103.00"))
    assert (await state(world, encounter, "emitted", 2)).frequency == "7"
    await world.post(reply("277CA", first, accepted=False, status_codes=["A7:562"]))

    def original() -> bool:
        return world.claims(encounter)["C/1"].frequency == "1"

    await world.eventually(original, "there is nothing to replace")
    await pass_days(world, encounter, 5)
    await state(world, encounter, "transmitted", 2)
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_stranded")


async def test_a_corrected_member_number_wakes_a_rejected_claim_and_sends_it_again(world: World) -> None:
    encounter, events = await emitted(world, "-renamed")
    await pass_days(world, encounter, 5)
    first = await state(world, encounter, "transmitted")
    await world.post(reply("277CA", first, accepted=False, status_codes=["A7:164"]))
    await state(world, encounter, "rejected")
    referral = next(e for e in events if e["type"] == "cart.referral.received")
    coverage = {**referral["data"]["coverage"], "member_id": "9ZZ9TE9MK99"}
    await world.post(correction(referral, replacement={**referral["data"], "coverage": coverage}))
    await state(world, encounter, "emitted", 2)
    await pass_days(world, encounter, 5)
    await state(world, encounter, "transmitted", 2)
    out = (await world.eventually(lambda: [s for s in sent(world, encounter) if s.written_at][1:], "written"))[0]
    assert "9ZZ9TE9MK99" in file_of(world, out).read_text()
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_renamed")
    history = await handle(world, encounter).fetch_history()
    assert "9ZZ9TE9MK99" not in history.to_json()


async def test_a_recoupment_reaches_a_claim_that_was_settled_and_ended(world: World) -> None:
    encounter, _ = await emitted(world, "-recouped")
    await pass_days(world, encounter, 5)
    row = await state(world, encounter, "transmitted")
    await world.post(remitted(row, 1, paid="900.00", payer_claim_number="PAYER-RECOUPED"))
    await state(world, encounter, "paid")
    await handle(world, encounter).result()
    recouped = remitted(row, 2) | {
        "type": "cart.claim.recouped",
        "data": {"control_number": "PAYER-RECOUPED", "reason": "WO", "amount": "300.00"},
    }
    await world.post(recouped)
    await world.eventually(lambda: "claim_taken_back" in open_alerts(world, encounter), "money was withheld")
    assert world.claims(encounter)["C/1"].state == "paid"
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_recouped")


async def test_a_denial_names_its_fix_and_the_time_to_appeal_and_a_payment_may_be_taken_back(world: World) -> None:
    encounter, _ = await emitted(world, "-denied")
    await pass_days(world, encounter, 5)
    row = await state(world, encounter, "transmitted")
    refused = [{"group": "CO", "carc": "50", "amount": "1000.00"}]
    await world.post(remitted(row, 1, "4", paid="0.00", adjustments=refused, rarc=["N706"]))
    denied = await state(world, encounter, "denied")
    assert denied.standing["appeal_by"]

    def alert() -> AlertRecord | None:
        return next((a for a in alerts(world, encounter) if a.kind == "claim_denied"), None)

    opened = await world.eventually(alert, "the denial is known")
    assert opened.denial is None
    assert "Possible causes: 1 BTK" in opened.action
    assert opened.owner
    await pass_days(world, encounter, 110)
    await world.eventually(lambda: "claim_appeal_ending" in open_alerts(world, encounter), "the appeal is pressing")
    await world.record(claim_workflow_id(encounter, "C", 1), "claim_life_denied")
    await world.post(remitted(row, 2, "1", paid="500.00"))
    await state(world, encounter, "paid")
    await world.eventually(lambda: "claim_denied" not in open_alerts(world, encounter), "over")
    await world.post(remitted(row, 3, "22", paid="-500.00"))
    await state(world, encounter, "denied")
    await world.eventually(lambda: "claim_taken_back" in open_alerts(world, encounter), "the money is gone again")


def alerts(world: World, encounter: str) -> list[AlertRecord]:
    with world.db.read() as session:
        return list(
            session.exec(select(AlertRecord).where(AlertRecord.encounter_id == encounter, AlertRecord.state == "open"))
        )
