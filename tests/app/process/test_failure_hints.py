"""A failure in the Temporal UI says what to do, and never what was in the row."""

from __future__ import annotations

import re
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from app.process.failure_hints import NEXT_STEPS, UNEXPECTED, advised
from domain.rulebook import NoRule
from store.keys import SealBroken
from tests.kit.files import ROOT

SECRET = "MRN-778899"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OperationalError(f"INSERT {SECRET}", {}, Exception(SECRET)), "CartStoreDown"),
        (SealBroken(SECRET), "keys.json"),
        (NoRule("windows", {"key": "x"}, date(2026, 1, 1)), "no row of windows for key=x"),
        (PermissionError(13, f"no {SECRET}"), "free space"),
        (KeyError(SECRET), "report both"),
    ],
)
def test_the_message_names_cause_and_next_step_and_no_value(error: Exception, says: str) -> None:
    found = advised(error, "decide")
    assert found.message.startswith("decide: ")
    assert says in found.message
    assert SECRET not in found.message
    assert found.type == type(error).__name__
    assert not found.non_retryable


def test_every_runbook_that_is_named_exists() -> None:
    root = ROOT
    for text in (UNEXPECTED, *(step for _, step in NEXT_STEPS)):
        for path in re.findall(r"(?:deploy|docs)/[\w./]+\.md", text):
            assert (root / path).exists(), path
