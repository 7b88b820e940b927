"""Versions of a claim: what replaces, voids, starts anew or goes back, by what the payer has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.billing.claim_versions import current, keep_claim, version_at_payer
from app.tools.scenario_expectations import scenarios
from domain.billing.model import Claim, Edit, EditSeverity, Form
from domain.billing.submission.expected_payment import expected
from store.claims import versions_of
from store.tables import ClaimVersion
from tests.contract.recording import NOW, Recorder, feed, recorder
from workflows.messages import ClaimBuilt, ClaimQuestion


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[Recorder]:
    async with recorder(tmp_path) as made:
        yield made


class Desk:
    """One claim of one encounter, kept by hand: each step has a newer sequence."""

    def __init__(self, r: Recorder, encounter: str) -> None:
        self.r, self.encounter, self.sequence = r, encounter, 1000
        self.claim = Claim.model_validate(self.rows()[-1].document)

    def rows(self) -> list[ClaimVersion]:
        with self.r.service.db.read() as session:
            return versions_of(session, self.encounter, "C", 1)

    def keep(self, claim: Claim | None, later: int = 1, now: datetime = NOW) -> ClaimBuilt:
        self.sequence += later
        question = ClaimQuestion(encounter=self.encounter, letter="C", ordinal=1, up_to_sequence=self.sequence, now=now)
        with self.r.service.db.write() as session:
            return keep_claim(session, question, claim, self.r.activities.claim_life.same_file(session))

    def changed(self, remarks: str) -> Claim:
        return self.claim.model_copy(update={"remarks": remarks})

    def explained(self, title: str, severity: EditSeverity = EditSeverity.WARNING) -> Claim:
        """The same bill with other explanations: a finding more, another citation, an advisory, a folded service."""
        finding = Edit(
            id="edits.example", severity=severity, field="", message=title, fix="", citation="example", owner="biller"
        )
        first, *rest = self.claim.lines
        reason = first.reason.model_copy(update={"citation": title})
        lines = (first.model_copy(update={"reason": reason}), *rest)
        said = {"edits": (*self.claim.edits, finding), "lines": lines, "advisories": (title,), "folded": (title,)}
        return self.claim.model_copy(update=said)

    def payer_says(self, state: str) -> None:
        with self.r.service.db.write() as session:
            row = current(versions_of(session, self.encounter, "C", 1))
            assert row is not None
            row.state, row.standing = state, {"state": state}
            session.add(row)

    def story(self) -> list[tuple[str, str]]:
        return [(row.frequency, row.state) for row in self.rows()]


@pytest.fixture
async def desk(r: Recorder) -> Desk:
    receipts = await r.post(feed("a_mcl_medicare_inpatient"))
    encounter = receipts["receipts"][0]["encounter_id"]
    r.decide(encounter, NOW)
    return Desk(r, encounter)


def test_before_transmission_a_change_rebuilds_and_an_end_withdraws(desk: Desk) -> None:
    desk.keep(desk.changed("one"))
    assert desk.story() == [("1", "superseded"), ("1", "emitted")]
    desk.keep(None)
    assert desk.story() == [("1", "superseded"), ("1", "withdrawn")]
    desk.keep(desk.claim)
    assert desk.story()[-1] == ("1", "emitted")


@pytest.mark.parametrize("state", ["transmitted", "acknowledged", "paid", "partly_paid", "denied"])
def test_what_the_payer_has_is_replaced_and_voided(desk: Desk, state: str) -> None:
    desk.payer_says(state)
    assert desk.keep(desk.claim).state == state
    desk.keep(desk.changed("one"))
    assert desk.story() == [("1", "superseded"), ("7", "emitted")]
    desk.keep(desk.changed("two"))
    assert desk.story()[-1] == ("7", "emitted")
    desk.keep(None)
    assert desk.story()[-1] == ("8", "emitted")
    assert desk.rows()[-1].content_hash == desk.claim.content_hash
    assert desk.keep(None).version == 4


@pytest.mark.parametrize(
    "state", ["emitted", "transmitted", "acknowledged", "rejected", "paid", "partly_paid", "denied"]
)
def test_other_explanations_of_the_same_bill_send_nothing(desk: Desk, state: str) -> None:
    desk.payer_says(state)
    number = desk.rows()[-1].control_number
    assert desk.keep(desk.explained("a newer page of the manual")).state == state
    assert desk.story() == [("1", state)]
    (row,) = desk.rows()
    assert row.control_number == number
    assert row.document["edits"][-1]["message"] == "a newer page of the manual"
    assert row.document["lines"][0]["reason"]["citation"] == "a newer page of the manual"


def test_an_error_holds_what_was_not_sent_and_does_not_unsend_what_was(desk: Desk) -> None:
    wrong = desk.explained("no certificate on that day", EditSeverity.ERROR)
    desk.keep(wrong)
    assert desk.story() == [("1", "superseded"), ("1", "held")]
    desk.keep(desk.claim)
    desk.payer_says("acknowledged")
    desk.keep(wrong)
    assert desk.story()[-1] == ("1", "acknowledged")
    assert desk.rows()[-1].error_count == 1


def test_a_late_answer_to_the_same_facts_at_an_earlier_moment_changes_nothing(desk: Desk) -> None:
    desk.keep(desk.changed("newer"), now=NOW + timedelta(hours=1))
    desk.keep(desk.changed("older"), later=0, now=NOW)
    assert desk.rows()[-1].document["remarks"] == "newer"
    desk.keep(desk.changed("newest"), later=0, now=NOW + timedelta(hours=2))
    assert desk.rows()[-1].document["remarks"] == "newest"


def test_facts_that_go_back_to_what_the_payer_has_send_nothing(desk: Desk) -> None:
    desk.payer_says("paid")
    desk.keep(desk.changed("one"))
    assert desk.keep(desk.claim).state == "paid"
    assert desk.story() == [("1", "paid"), ("7", "superseded")]
    desk.keep(None)
    assert desk.keep(desk.claim).version == 1
    assert desk.keep(desk.changed("two")).version == 4


def test_after_a_void_or_a_rejection_the_next_one_is_a_new_claim(desk: Desk) -> None:
    desk.payer_says("rejected")
    desk.keep(desk.changed("one"))
    assert desk.story()[-1] == ("1", "emitted")
    desk.payer_says("transmitted")
    desk.keep(None)
    desk.payer_says("voided")
    desk.keep(desk.changed("two"))
    assert desk.story() == [("1", "superseded"), ("1", "superseded"), ("8", "voided"), ("1", "emitted")]
    assert version_at_payer(desk.rows()) is None


def test_a_rejected_replacement_leaves_the_older_one_at_the_payer(desk: Desk) -> None:
    desk.payer_says("paid")
    desk.keep(desk.changed("one"))
    desk.payer_says("rejected")
    desk.keep(desk.changed("two"))
    assert desk.story()[-1] == ("7", "emitted")
    held = version_at_payer(desk.rows())
    assert held is not None
    assert held.version == 1


OTHERS = [
    {"payer": "uhc"},
    {"type_of_bill": "131"},
    {"facility": "st_mary_exempt"},
    {"form": Form.CMS1500, "type_of_bill": None, "place_of_service": "11"},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_what_no_replacement_can_carry_voids_first_and_follows_as_a_new_claim(
    desk: Desk, other: dict[str, Any]
) -> None:
    """A payer's own number means nothing to another payer, and an inpatient bill adjusts no outpatient one."""
    moved = desk.claim.model_copy(update=other)
    desk.payer_says("acknowledged")
    desk.keep(moved)
    assert desk.story() == [("1", "superseded"), ("8", "emitted")]
    assert desk.rows()[-1].content_hash == desk.claim.content_hash
    desk.keep(moved)
    assert len(desk.rows()) == 2
    desk.payer_says("voided")
    desk.keep(moved)
    assert desk.story() == [("1", "superseded"), ("8", "voided"), ("1", "emitted")]
    assert desk.rows()[-1].content_hash == moved.content_hash


def test_nothing_is_voided_for_a_claim_that_an_error_holds(desk: Desk) -> None:
    held = desk.explained("no authorization of the other payer", EditSeverity.ERROR).model_copy(update={"payer": "uhc"})
    desk.payer_says("acknowledged")
    desk.keep(held)
    assert desk.story()[-1][1] == "held"
    desk.keep(desk.claim.model_copy(update={"payer": "uhc"}))
    assert desk.story()[-1] == ("8", "emitted")
    assert desk.keep(desk.claim).version == 1


def test_every_emission_has_a_number_of_its_own(desk: Desk) -> None:
    desk.payer_says("paid")
    for remarks in ("one", "two"):
        desk.keep(desk.changed(remarks))
    desk.keep(None)
    numbers = [row.control_number for row in desk.rows()]
    assert len(set(numbers)) == len(numbers) == 4


def test_what_a_payer_should_come_to(desk: Desk) -> None:
    rules, site = desk.r.service.config.rules(), desk.r.service.config.site()
    assert len(scenarios()) == 6
    assert expected(desk.claim, rules, site) is None
    base = Decimal("7000.00")
    paid = site.model_copy(
        update={"facilities": tuple(f.model_copy(update={"drg_base_rate": base}) for f in site.facilities)}
    )
    stay = expected(desk.claim, rules, paid)
    assert stay is not None
    assert stay.amount == (Decimal("43.1828") * base).quantize(Decimal("0.01"))
    assert expected(desk.claim.model_copy(update={"payer": "uhc"}), rules, paid) is None
    line = desk.claim.lines[0].model_copy(update={"hcpcs": "Q2053", "units": 1})
    outpatient = desk.claim.model_copy(update={"setting": "outpatient", "lines": (line,)})
    limit = expected(outpatient, rules, site)
    assert limit is not None
    assert limit.amount == Decimal("489290.60")
