"""Comparing an encounter with what was expected: every kind of difference is found and named."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

import pytest

from app.tools.scenario_expectations import SCENARIOS, differences, scenarios

ANCHOR = date(2026, 6, 10)

LINE = {
    "revenue_code": "0871",
    "hcpcs": "38206",
    "modifiers": [],
    "units": 1,
    "date_of_service": "2026-05-17",
    "charge": "4850.00",
}
CLAIM = {
    "state": "emitted",
    "form": "UB-04",
    "type_of_bill": "131",
    "statement_from": "2026-05-17",
    "statement_through": "2026-05-17",
    "diagnoses": [{"role": "principal", "code": "C83.18"}, {"role": "admitting", "code": "R50.9"}],
    "procedures": [{"code": "XW033M7", "date": "2026-06-10"}],
    "codes": [{"kind": "value", "code": "86", "amount": "424000.00"}],
    "drg": None,
    "lines": [LINE, LINE],
    "total": "9700.00",
}
SEEN: dict[str, Any] = {
    "stage": "apheresis",
    "cleared": [],
    "holds": [
        {"rule": "certifications.fact", "kind": "readiness", "layer": "fact", "override": None},
        {"rule": "eligibility.ecog", "kind": "eligibility", "layer": None, "override": {"role": "medical director"}},
    ],
    "alerts": [
        {"kind": "certification_missing", "severity": "critical"},
        {"kind": "apheresis_unbooked", "severity": "warning"},
    ],
    "claims": {"A/1": CLAIM},
    "vein_to_vein_days": None,
    "custody_verified": True,
}
ROW = ["0871", "38206", [], 1, -24, "4850.00"]
EXPECTED: dict[str, Any] = {
    "stage": "apheresis",
    "cleared": [],
    "holds": ["certifications.fact"],
    "hold_kinds": ["readiness"],
    "hold_layers": ["fact"],
    "open_alerts": ["apheresis_unbooked", "certification_missing"],
    "critical_alerts": ["certification_missing"],
    "custody_verified": True,
    "claims": {
        "A/1": {
            "state": "emitted",
            "statement": [-24, -24],
            "principal": "C83.18",
            "diagnoses": ["C83.18"],
            "procedures": [["XW033M7", 0]],
            "codes": [["value", "86", "424000.00"]],
            "lines": [ROW, ROW],
            "total": "9700.00",
        }
    },
}


def test_what_agrees_gives_no_difference() -> None:
    assert differences(EXPECTED, SEEN, ANCHOR) == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("stage",), "infusion", "stage: expected"),
        (("holds",), [], "holds: expected"),
        (("alerts",), [], "critical_alerts: expected"),
        (("cleared",), ["apheresis"], "cleared: expected"),
        (("custody_verified",), False, "custody_verified"),
        (("claims",), {}, 'claims: expected ["A/1"], got []'),
        (("claims", "A/1", "state"), "held", "A/1 state"),
        (("claims", "A/1", "total"), "9700.01", "A/1 total"),
        (("claims", "A/1", "statement_from"), "2026-05-18", "A/1 statement"),
        (("claims", "A/1", "lines"), [LINE], "A/1 lines: missing"),
        (("claims", "A/1", "lines"), [LINE] * 3, "A/1 lines: extra"),
        (("claims", "A/1", "lines"), [LINE, LINE | {"units": 2}], "A/1 lines: extra"),
    ],
)
def test_a_difference_is_named(path: tuple[str, ...], value: Any, named: str) -> None:
    seen = copy.deepcopy(SEEN)
    target = seen
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value

    found = differences(EXPECTED, seen, ANCHOR)

    assert any(difference.startswith(named) for difference in found), found


def test_lines_are_compared_whatever_their_order() -> None:
    other = LINE | {"hcpcs": "38225", "units": 3}
    seen = SEEN | {"claims": {"A/1": CLAIM | {"lines": [other, LINE]}}}
    wanted = {"claims": {"A/1": {"lines": [ROW, ["0871", "38225", [], 3, -24, "4850.00"]]}}}

    assert differences(wanted, seen, ANCHOR) == []


def test_every_feed_has_an_expectation_of_its_own_and_known_keys() -> None:
    known = {"stage", "holds", "open_alerts", "vein_to_vein_days", "claims", "custody_verified"}

    for scenario in scenarios(SCENARIOS):
        assert scenario.expected["feed"] == scenario.feed.name
        assert set(scenario.expected["end"]) == known
        assert set(scenario.checkpoints) <= set(scenario.feed.parts)
