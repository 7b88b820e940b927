"""The table of tolerances and what counts them are the same list, and each kind has a fixture."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from intake.hl7 import charsets, departures, lines
from tests.kit.hl7_fixtures import CASES

DOCS = Path(__file__).parents[3] / "docs" / "feeds.md"
KINDS = {
    charsets.NAME,
    charsets.NOT_STATED,
    lines.NO_END,
    lines.LINE_FEED_ENDS,
    lines.BREAK_IN_FIELD,
    departures.TIME_FORM,
    departures.DATE_ALONE,
    departures.SENDER,
    departures.OLDER_VERSION,
    departures.STATUS_CODE,
    departures.DISCHARGE,
    departures.MERGES,
    departures.NO_TYPE,
}


def test_the_table_lists_every_kind() -> None:
    table = DOCS.read_text(encoding="utf-8").split("| HL7: accepted although it departs", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"\| `([a-z_]+)` \|", table)) == KINDS


def test_every_kind_has_a_fixture() -> None:
    shown = {
        kind for case in CASES for kind in tomllib.loads((case / "expected.toml").read_text()).get("departures", [])
    }
    assert shown == KINDS
