"""A claim between sending and settlement, on a real store: late rejections, corrected names, payers' numbers, money."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from store.config import ConfigCache
from store.tables import AlertRecord, Encounter
from tests.kit.claim_life import REJECTED, Life
from tests.kit.files import SITE_FILE
from workflows.messages import Question


async def test_an_original_replaces_the_version_that_was_accepted_after_all(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, **REJECTED)
    await life.charged("101.00")
    life.look()
    assert life.story()[-1] == ("1", "emitted")
    await life.answered("835", first, paid="900.00", payer_claim_number="P1")
    assert life.story()[-1] == ("7", "emitted")
    life.look(days=5)
    assert "REF*F8*P1~" in life.files()[-1]


async def test_medicare_gets_the_reason_of_a_replacement(life: Life) -> None:
    """CMS Claims Processing Manual, chapter 1, section 130.1.2.1: one code, D1 only where charges alone changed."""
    await life.answered("277CA", life.rows()[0], payer_claim_number="MAC1")
    await life.charged("101.00")
    life.look(days=5)
    assert "~\nHI*BG:D1~" in life.files()[-1]
    await life.answered("277CA", life.rows()[-1], payer_claim_number="MAC2")
    abstract = next(e for e in life.events if e["type"] == "cart.coding.completed")
    others = [*abstract["data"]["other_diagnoses"], {"code": "R50.9", "poa": "N"}]
    await life.corrected(abstract, {**abstract["data"], "other_diagnoses": others})
    life.look(days=5)
    assert life.story()[-1] == ("7", "transmitted")
    assert "~\nHI*BG:D4~" in life.files()[-1]
    await life.answered("277CA", life.rows()[-1], payer_claim_number="MAC3")
    await life.named(member_id="1EG4TE5MK99")
    life.look(days=5)
    assert "~\nHI*BG:D9~" in life.files()[-1]
    assert "NTE*ADD*D9 CHANGED INSURED, TECARTUS" in life.files()[-1]


async def test_a_payer_corrected_after_transmission_voids_there_and_bills_the_right_one(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, payer_claim_number="MAC1")
    await life.moved_to_uhc()
    assert life.look().state == "emitted"
    assert life.story() == [("1", "superseded"), ("8", "emitted")]
    gone = life.look(days=5)
    assert gone.state == "voided"
    assert gone.again is not None
    void = life.files()[-1]
    assert ":A:8*" in void
    assert "REF*F8*MAC1~" in void
    assert "~\nHI*BG:D6~" in void
    assert "*MI*1EG4TE5MK73~" in void  # whom that payer knows, not the member number of the other one
    life.again(gone)
    life.look(days=5)
    assert life.story() == [("1", "superseded"), ("8", "voided"), ("1", "transmitted")]
    billed = next(text for text in life.files() if "*MI*911000777~" in text)
    assert "REF*F8" not in billed
    assert ":A:1*" in billed
    assert life.rows()[-1].standing["file_by"] is not None  # the other payer never had it


async def test_the_number_referred_to_is_that_of_the_version_the_payer_has(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, payer_claim_number="P1")
    await life.charged("101.00")
    life.look(days=5)
    second = life.rows()[1]
    await life.answered("277CA", second, payer_claim_number="P2")
    await life.answered("835", first, paid="5.00", payer_claim_number="P1")
    await life.charged("102.00")
    life.look(days=5)
    assert "REF*F8*P1~" in life.files()[1]
    assert "REF*F8*P2~" in life.files()[2]


@pytest.mark.parametrize("change", [{"member_id": "9ZZ9TE9MK99"}, {"line": "77 CORRECTED WAY"}])
async def test_the_parties_of_the_file_count_after_a_rejection(life: Life, change: dict[str, str]) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, **REJECTED)
    (corrected,) = change.values()
    await life.named(**change)
    life.look()
    assert life.story() == [("1", "superseded"), ("1", "emitted")]
    life.look(days=5)
    assert corrected in life.files()[1]
    assert corrected not in life.files()[0]
    life.look(days=1)
    assert len(life.files()) == 2


async def test_a_member_number_corrected_while_the_payer_has_the_claim_replaces_it(life: Life) -> None:
    await life.answered("277CA", life.rows()[0], payer_claim_number="P1")
    await life.named(member_id="9ZZ9TE9MK99")
    assert life.story() == [("1", "superseded"), ("7", "emitted")]
    life.look(days=5)
    assert "9ZZ9TE9MK99" in life.files()[1]


async def test_no_claim_is_replaced_because_the_patient_moved(life: Life) -> None:
    await life.answered("277CA", life.rows()[0], payer_claim_number="P1")
    await life.named(line="77 NEW WAY")
    life.look(days=5)
    assert life.story() == [("1", "acknowledged")]


async def test_no_identifier_leaves_the_vault_by_the_marks(life: Life) -> None:
    await life.named(member_id="9ZZ9TE9MK99")
    with life.r.service.db.read() as session:
        upto = session.get_one(Encounter, life.encounter).next_sequence - 1
    plan = life.r.activities.plan(Question(encounter=life.encounter, up_to_sequence=upto, now=life.now))
    assert "9ZZ9TE9MK99" not in plan.model_dump_json()


async def test_a_provider_corrected_in_the_site_file_sends_a_rejected_claim_again(life: Life, tmp_path: Path) -> None:
    await life.answered("277CA", life.rows()[0], **REJECTED)
    text = SITE_FILE.read_text()
    line = next(line for line in text.splitlines() if line.startswith("taxonomy"))
    site = tmp_path / "site.toml"
    site.write_text(text.replace(line, 'taxonomy = "282NC0060X"'))
    life.r.service.store.config = ConfigCache("current", None, site)
    standing = life.look(days=1)
    assert standing.state == "emitted"
    assert life.story() == [("1", "superseded"), ("1", "emitted")]
    life.look(days=5)
    assert len(life.files()) == 2
    life.r.service.store.config = ConfigCache("current", None, SITE_FILE)
    life.look(days=1)
    assert life.story()[-1] == ("1", "transmitted")


async def test_money_for_the_replaced_version_is_not_money_for_its_replacement(life: Life) -> None:
    first = life.rows()[0]
    await life.answered("277CA", first, payer_claim_number="P1")
    await life.charged("101.00")
    life.look(days=5)
    second = life.rows()[1]
    await life.answered("835", first, paid="900.00")
    assert life.story()[-1] == ("7", "transmitted")
    await life.answered("835", second, paid="950.00")
    assert life.story()[-1] == ("7", "paid")
    assert "claim_paid_twice" in life.alerts()
    await life.answered("835", first, status="22", paid="-900.00")
    assert life.story()[-1] == ("7", "paid")
    assert life.alerts() == set()


async def test_an_older_decision_on_the_same_facts_cannot_overwrite_a_newer_one(life: Life) -> None:
    with life.r.service.db.read() as session:
        upto = session.get_one(Encounter, life.encounter).next_sequence - 1
    newer, older = (
        Question(encounter=life.encounter, up_to_sequence=upto, now=moment)
        for moment in (datetime(2026, 12, 1, 5, 20, tzinfo=UTC), datetime(2026, 12, 1, 4, 40, tzinfo=UTC))
    )
    # Between them a day begins at the site: the newer one has other alerts.
    life.r.activities.raise_alerts(newer)
    before = _all_alerts(life)
    life.r.activities.raise_alerts(older)
    assert _all_alerts(life) == before
    life.r.activities.show_encounter(newer)
    life.r.activities.show_encounter(older)
    with life.r.service.db.read() as session:
        assert session.get_one(Encounter, life.encounter).decided_at == newer.now


def _all_alerts(life: Life) -> list[tuple[str, str]]:
    with life.r.service.db.read() as session:
        return sorted((row.key, row.state) for row in session.exec(select(AlertRecord)))


async def test_an_older_look_of_the_same_run_changes_nothing(life: Life) -> None:
    life.look(days=40)
    seen = life.alerts()
    assert "claim_remittance_overdue" in seen
    life.look(days=-39)
    assert life.alerts() == seen


@pytest.mark.parametrize("mode", ["shadow"])
async def test_in_shadow_no_response_is_needed_and_a_change_is_a_new_original(life: Life) -> None:
    """The hospital's present process bills: silence and filing limits are that one's, and there is no number to replace."""
    standing = life.look(days=500)
    assert (standing.settled, standing.due, life.alerts()) == (True, None, set())
    await life.charged("101.00")
    life.look(days=5)
    assert life.story() == [("1", "superseded"), ("1", "transmitted")]
    assert [file.split("*")[15] for file in life.files()] == ["T", "T"]
