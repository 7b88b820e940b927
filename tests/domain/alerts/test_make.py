"""One maker: what happened is the title; details, causes, what to do and by when are the text, in this order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.alerts import make
from domain.alerts.model import Alert, Cause, Finding, Severity
from domain.rulebook import NoRule, Rulebook
from domain.rulebook.rows import AlertKind

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DENIED = {"scope": "claim.C/1", "subject": "Claim C/1", "detail": "CARC 50", "next_step": "Appeal by 2026-07-01."}
FIRST = Cause("Medical necessity not shown", "Attach the pathology report.", 2, "G433")
SECOND = Cause("Wrong product code", "Correct the Q-code.", 9, "G440")


def made(rules: Rulebook, finding: Finding) -> Alert:
    return make.alert(rules, finding, NOW.date(), NOW)


def row(rules: Rulebook, kind: str) -> AlertKind:
    return rules.one(AlertKind, NOW.date(), kind=kind)


def test_the_row_gives_title_owner_citation_and_severity(rules: Rulebook) -> None:
    of, alert = row(rules, "certification_missing"), made(rules, Finding("certification_missing", "fact"))
    assert (alert.title, alert.action, alert.owner) == (of.title, of.action, of.owner)
    assert (alert.citation, alert.rule, alert.denial) == (of.citation, of.id, of.denial)
    assert (alert.key, alert.severity.value, alert.since) == ("certification_missing:fact", of.severity, NOW)


def test_the_finding_decides_what_it_states_itself(rules: Rulebook) -> None:
    since = NOW - timedelta(days=1)
    found = Finding("evidence_missing", "x", ("e",), "required: ECOG", Severity.INFO, "fact", 4, since)
    alert = made(rules, found)
    assert (alert.severity, alert.layer, alert.denial, alert.since) == (Severity.INFO, "fact", 4, since)
    assert alert.events == ("e",)
    assert alert.action == f"Required: ECOG. {row(rules, 'evidence_missing').action}"


@pytest.mark.parametrize(
    ("finding", "key"),
    [
        (Finding("a"), "a"),
        (Finding("a", "n"), "a:n"),
        (Finding("a", scope="claim.C/1"), "claim.C/1.a"),
        (Finding("a", "n", scope="watch"), "watch.a.n"),
    ],
)
def test_the_key_names_scope_kind_and_name(finding: Finding, key: str) -> None:
    assert finding.key == key


def test_one_possible_cause_gives_its_fix_citation_and_denial(rules: Rulebook) -> None:
    alert = made(rules, Finding("claim_denied", causes=(FIRST,), **DENIED))
    assert alert.title == "Claim C/1: Denied in full or in part"
    assert alert.action == (
        "CARC 50. Possible cause: Medical necessity not shown. Attach the pathology report. Appeal by 2026-07-01."
    )
    assert (alert.denial, alert.citation) == (2, "G433")


def test_several_possible_causes_are_numbered_and_none_is_chosen(rules: Rulebook) -> None:
    of, alert = row(rules, "claim_denied"), made(rules, Finding("claim_denied", causes=(FIRST, SECOND), **DENIED))
    assert alert.action == (
        "CARC 50. Possible causes: 1 Medical necessity not shown: Attach the pathology report. "
        f"2 Wrong product code: Correct the Q-code. {of.action} Appeal by 2026-07-01."
    )
    assert (alert.denial, alert.citation) == (None, of.citation)


def test_a_kind_without_a_row_is_an_error(rules: Rulebook) -> None:
    with pytest.raises(NoRule):
        made(rules, Finding("no_such_kind"))
