"""A submitted request with missing documents is reported at once, until it is complete or approved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.stories import Story, holds, kinds

UHC = {"payer": "uhc", "member_id": "X"}


def submitted(*without: str, coverage: dict[str, str] = UHC, **changes: Any) -> Story:
    story = Story()
    story.refer(coverage=coverage, evidence=story.documents(-47, *without), **changes)
    story.report(-42, "cart.authorization.submitted", {"number": "AUTH-1"})
    return story


def test_a_request_without_a_document_reports_its_number() -> None:
    alert = kinds(submitted("pulmonary_function").decide(-41))["authorization_incomplete"]

    assert (alert.severity, alert.owner) == ("info", "authorization")


def test_the_document_sent_later_resolves_the_alert() -> None:
    story = submitted("pulmonary_function")
    story.add(-40, "pulmonary_function", {"adequate": True})

    assert "authorization_incomplete" not in kinds(story.decide(-39))


def test_an_approval_ends_it_too() -> None:
    story = submitted("pathology")
    assert "authorization_incomplete" in kinds(story.decide(-41))
    story.authorize(-40, -40, 40)

    assert "authorization_incomplete" not in kinds(story.decide(-39))


@pytest.mark.parametrize("coverage", [UHC, {"payer": "medicare", "member_id": "X"}])
def test_a_whole_request_or_none_at_all_is_not_questioned(coverage: dict[str, str]) -> None:
    assert "authorization_incomplete" not in kinds(submitted(coverage=coverage).decide(-41))


def test_the_checklist_warns_and_holds_nothing_beyond_the_documents_themselves() -> None:
    found = holds(submitted("pulmonary_function").decide(-41))

    assert "apheresis.authorization.papers" not in found
    assert "apheresis.authorization.approved" in found


def test_certificates_on_file_are_documents_of_the_request() -> None:
    story = submitted()
    story.site = story.site.model_copy(update={"certifications": ()})

    assert "authorization_incomplete" in kinds(story.decide(-41))
