"""The pages of `docs/claims` are up to date with the code."""

from __future__ import annotations

import pytest

from tests.domain.billing.alterations import ALTERED, REWRITTEN
from tests.domain.billing.breaks import ERRORS, WARNINGS
from tests.domain.billing.reports import CLAIM_PAGES, PAGES
from tests.kit.documents import incomplete, out_of_date

RUN = "run python -m tests.domain.billing.reports"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date_with_the_code(name: str) -> None:
    assert out_of_date((CLAIM_PAGES / name).read_text(encoding="utf-8"), PAGES[name]()) == [], RUN


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_complete(name: str) -> None:
    written, made = (CLAIM_PAGES / name).read_text(encoding="utf-8"), PAGES[name]()
    assert incomplete(written, made) == [], RUN
    assert written == made, RUN


def test_there_are_more_than_fifty_ways_and_each_is_named_once() -> None:
    named = [b.what for b in (*ERRORS, *WARNINGS, *ALTERED, *REWRITTEN)]
    assert len(named) >= 50
    assert len(set(named)) == len(named)
