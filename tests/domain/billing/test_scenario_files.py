"""Every claim of every scenario, in both editions: passes the guide maps, groups as expected, passes the code editor."""

from __future__ import annotations

import pytest

from domain.billing import build_claims
from domain.billing.build import grouper
from domain.billing.edits import find_edits
from domain.billing.edits.coding import coded_stay
from domain.billing.edits.review import ClaimReview
from domain.billing.x12 import validate
from domain.rulebook.rows import Edition
from tests.domain.billing.golden import SCENARIOS, record_of, scenario_cases, written
from tests.kit.rules import rulebook
from tests.kit.site import site

GROUPS = {"C": "018", "D": "815"}
"""The infusion stay, and the readmission for a complication of the therapy in the scenario that has one."""

ALL = pytest.mark.parametrize("name", sorted(SCENARIOS))


def inpatient(name: str) -> list[ClaimReview]:
    return [case for case in scenario_cases(name, "current") if case.claim.setting == "inpatient"]


@ALL
@pytest.mark.parametrize("edition", ["current", "guide"])
def test_every_claim_becomes_a_file_that_passes(name: str, edition: Edition) -> None:
    claims = [case.claim for case in scenario_cases(name, edition)]
    files = dict(written(name, claims, site()))
    assert len(files) == len(claims) > 1
    assert {key: validate(file) for key, file in files.items()} == {key: [] for key in files}


@ALL
def test_every_claim_goes_out(name: str) -> None:
    """At its end each scenario has resolved its holds: nothing waits, no error is left."""
    for case in scenario_cases(name, "current"):
        assert case.claim.ready, case.claim.waiting_for
        assert [edit.message for edit in find_edits(case) if edit.severity == "error"] == []


@ALL
def test_every_stay_groups_as_expected_and_passes_the_code_editor(name: str) -> None:
    assert {case.claim.letter: case.claim.drg for case in inpatient(name)}.items() <= GROUPS.items()
    for case in inpatient(name):
        coded = coded_stay(case, case.draft.coding_day)
        assert coded is not None
        assert grouper.editor_covers(coded.discharged)
        assert grouper.findings(coded) == ()


@ALL
def test_every_outpatient_code_is_valid_on_its_day(name: str) -> None:
    for case in scenario_cases(name, "current"):
        day = case.draft.coding_day
        assert all(grouper.diagnosis_is_valid(d.code, day) for d in case.claim.diagnoses)


@ALL
def test_the_guide_edition_answers_every_question_too(name: str) -> None:
    record = record_of(name)
    claims = build_claims(record, site(), rulebook("guide"))
    assert [claim.key for claim in claims] == [case.claim.key for case in scenario_cases(name, "current")]
    assert all(edit.id != "no_rule" for claim in claims for edit in claim.edits)


def test_the_scenarios_have_a_stay_a_readmission_and_an_outpatient_infusion() -> None:
    claims = [case.claim for name in SCENARIOS for case in scenario_cases(name, "current")]
    assert {(claim.letter, claim.type_of_bill) for claim in claims} >= {
        ("A", "131"),
        ("B", "131"),
        ("C", "111"),
        ("C", "131"),
        ("D", "111"),
    }
