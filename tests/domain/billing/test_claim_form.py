"""The page of a claim for review: complete, explained, escaped, without any identity."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from domain.billing.claim_form import Issue, form_view
from tests.domain.billing.breaks import office
from tests.domain.billing.stories import Story, mcl_inpatient
from tests.kit.patient import SECRETS


class Balanced(HTMLParser):
    """Fails on a tag that is closed without being open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def read(page: str) -> str:
    reader = Balanced()
    reader.feed(page)
    assert reader.open == []
    return " ".join(reader.cells)


def places(page: str) -> list[str]:
    return re.findall(r"<dt>(?:FL )?(\w+)", page)


def test_the_boxes_follow_the_form_with_the_lines_between_them() -> None:
    page = form_view(mcl_inpatient().toxicity(3, crs=2).claim("C/1"))
    numbers = [int(re.match(r"\d+", place)[0]) for place in places(page) if place[0].isdigit()]  # type: ignore[index]
    assert numbers == sorted(numbers)
    assert {4, 6, 8, 12, 39, 56, 60, 67, 69, 71, 74, 76, 80} <= set(numbers)
    order = [page.index(mark) for mark in ("FL 39", "FL 42 revenue code", "FL 46 units", "FL 56", "FL 80")]
    assert order == sorted(order)


def test_a_replacement_and_a_void_are_marked_in_the_fields_of_the_form() -> None:
    claim = mcl_inpatient().claim("C/1")
    for frequency, words in (("1", ""), ("7", "Replaces what the payer has"), ("8", "Voids what the payer has")):
        page = form_view(claim, Issue("CE0000000042", frequency, "emitted"))
        assert f"<dt>FL 4 type of bill</dt><dd>11{frequency}</dd>" in page
        assert "<dt>FL 3a patient control number</dt><dd>CE0000000042</dd>" in page
        assert words in page
    box = "<dt>22 resubmission code</dt><dd>7</dd>"
    visit = office().claim("A/1")
    assert box in form_view(visit, Issue("CE0000000043", "7", "emitted"))
    assert "resubmission" not in form_view(visit)
    assert "<dt>FL 64 document control number</dt><dd>MAC1</dd>" in form_view(claim, Issue("CE1", "7", "", "MAC1"))
    assert "<dt>22 original reference number</dt><dd>MAC1</dd>" in form_view(visit, Issue("CE1", "8", "", "MAC1"))
    assert "document control number</dt><dd>not reported by the payer yet</dd>" in form_view(claim, Issue("CE1", "7"))
    assert "FL 64" not in form_view(claim)


def test_an_office_claim_is_drawn_as_a_cms_1500() -> None:
    page = form_view(office().claim("A/1"))
    order = [
        page.index(mark) for mark in ("1a insured", "21A ", "24A service date", "24E diagnoses", "25 federal", "33a ")
    ]
    assert order == sorted(order)
    assert "FL " not in page.partition("Why each")[0]


@pytest.mark.parametrize("key", ["A/1", "B/1", "C/1"])
def test_every_line_is_on_the_page_with_its_rule_and_event(key: str) -> None:
    claim = mcl_inpatient().claim(key)
    page = read(form_view(claim))
    for line in claim.lines:
        assert line.reason.rule in page
        assert all(event in page for event in line.reason.events)
        assert f"{line.charge:,.2f}" in page
    assert f"{claim.total:,.2f}" in page
    assert all(edit.fix in page for edit in claim.edits)


def test_the_page_names_the_vault_and_no_person() -> None:
    page = form_view(mcl_inpatient().claim("C/1"))
    assert "in the vault: patient.name" in page
    assert not any(secret in page for secret in SECRETS)


def test_a_waiting_claim_shows_what_it_waits_for() -> None:
    story = Story().referral().released().admitted(-1).infused()
    assert "Waiting for the discharge" in form_view(story.claim("C/1"))


def test_a_text_that_looks_like_markup_stays_text() -> None:
    claim = mcl_inpatient().claim("C/1").model_copy(update={"remarks": "<script>alert(1)</script>"})
    assert "<script>" not in form_view(claim)
