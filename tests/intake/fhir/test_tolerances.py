"""The table of tolerances and what counts them are the same list, and each kind has a fixture."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from intake.fhir import bindings, forms, notification, translate
from tests.kit.fhir_fixtures import CASES

DOCS = Path(__file__).parents[3] / "docs" / "feeds.md"
KINDS = {
    bindings.NOT_READ_FORM,
    forms.R5,
    forms.EMPTY,
    forms.SPELLING,
    forms.DATE_ALONE,
    forms.NO_OFFSET,
    forms.TIME_FORM,
    forms.NO_PARTICIPANT,
    forms.CONTAINED_ID,
    forms.CLASS_FORM,
    notification.NO_STATUS,
    translate.NO_VERSION,
    translate.VENDOR_CLASS,
    translate.CODE_OF_ONE_DIGIT,
    translate.TYPE_BY_TEXT,
}


def test_the_table_lists_every_kind() -> None:
    table = DOCS.read_text(encoding="utf-8").split("| FHIR: accepted although it departs", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"\| `([a-z0-9_]+)` \|", table)) == KINDS


def test_every_kind_has_a_fixture() -> None:
    shown = {
        kind for case in CASES for kind in tomllib.loads((case / "expected.toml").read_text()).get("departures", [])
    }
    assert shown == KINDS
