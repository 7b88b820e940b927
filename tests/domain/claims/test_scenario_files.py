"""Every claim of every scenario: passes the guide maps, groups as expected, and passes the code editor for its date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.outcomes import scenarios
from domain.claims import build_claims, grouper
from domain.claims.build import cases
from domain.claims.model import Form
from domain.claims.x12 import Control, Identity, render, validate
from domain.claims.x12.parties import Address
from domain.events import EventData, parse
from domain.facts import Fact, fold
from domain.record import Record
from domain.rulebook.rows import Payer
from domain.site import parse_site
from intake.feeds import expand
from tests.domain.claims.stories import rulebook

ROOT = Path(__file__).resolve().parents[3]
SITE = parse_site((ROOT / "deploy" / "site.example.toml").read_text(encoding="utf-8"))
SCENARIOS = {scenario.feed.name: scenario for scenario in scenarios()}
PAT = Identity("Doe", "Pat", date(1961, 3, 2), "female", Address("1 Elm", "Columbus", "OH", "43215"), "M123", "R1")


def record_of(name: str) -> Record:
    found = [parse(event) for event in expand(SCENARIOS[name].feed, date(2026, 6, 10))]
    facts: list[Fact[EventData]] = [
        Fact(f"evt_{envelope.id}", envelope.source, envelope.id, envelope.time, envelope.time, data)
        for envelope, data in found
    ]
    return Record(fold(facts))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_claim_becomes_a_file_that_passes(name: str) -> None:
    claims = build_claims(record_of(name), SITE, rulebook())
    for number, claim in enumerate(claims, start=1):
        payer = SITE.payer(claim.payer)
        row = rulebook().one(Payer, claim.statement_from, key=claim.payer)
        assert payer is not None
        filing = row.claim_filing_professional if claim.form is Form.CMS1500 else row.claim_filing
        control = Control(
            number, f"E1-{claim.letter}{claim.ordinal}", datetime(2026, 8, 1, tzinfo=UTC), filing or row.claim_filing
        )
        assert validate(render(claim, PAT, SITE, payer, control)) == [], claim.key


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_infusion_stay_groups_to_the_car_t_group_and_passes_the_code_editor(name: str) -> None:
    for case in cases(record_of(name), SITE, rulebook()):
        claim = case.claim
        if not claim.ready or claim.setting != "inpatient":
            continue
        principal = next(d for d in claim.diagnoses if d.role == "principal")
        coded = grouper.Case(
            discharged=claim.statement_through,
            age=65,
            sex="female",
            discharge_status="01",
            principal=(principal.code, principal.poa),
            others=tuple((d.code, d.poa) for d in claim.diagnoses if d.role == "other"),
            procedures=tuple(p.code for p in claim.procedures),
        )
        assert grouper.findings(coded) == ()
        assert (claim.drg == "018") == (claim.letter == "C")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_guide_edition_answers_every_question_too(name: str) -> None:
    claims = build_claims(record_of(name), SITE, rulebook("guide"))
    assert [claim.key for claim in claims] == [claim.key for claim in build_claims(record_of(name), SITE, rulebook())]
    assert all(edit.id != "no_rule" for claim in claims for edit in claim.edits)
