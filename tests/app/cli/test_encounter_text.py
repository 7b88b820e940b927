"""The text in a terminal has everything in the response that needs work."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from app.cli.encounter_text import (
    claim_lines,
    encounter_lines,
    hold_lines,
    moment,
    receipt_lines,
    timeline_lines,
)
from tests.contract.recording import ANSWERS


def answer(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((ANSWERS / f"{name}.example.json").read_text(encoding="utf-8"))
    return body


def test_an_encounter_says_what_holds_it_and_who_must_act() -> None:
    it = answer("encounter")
    text = "\n".join(encounter_lines(it))
    assert it["holds"]
    for hold in it["holds"]:
        assert all(hold[part] in text for part in ("id", "missing", "fix", "owner"))
        assert hold["citation"] not in text
        assert f"prevents denial #{hold['denial']}" in text
    assert {due["kind"] == "wake" for due in it["deadlines"]} == {True, False}
    for due in it["deadlines"]:
        assert (f"  {due['title']}" in text) is (due["kind"] != "wake")


def test_no_hold_is_said_too() -> None:
    assert list(hold_lines([])) == ["Holds: none"]


def test_a_timeline_shows_every_record_and_whether_the_chain_holds() -> None:
    it = answer("timeline")
    lines = list(timeline_lines(it))
    assert sum("#" in line for line in lines) == len(it["records"])
    assert lines[-1] == f"{len(it['records'])} records, the chain is intact"
    broken = [*timeline_lines(it | {"verified": False, "first_broken": 3})]
    assert broken[-1].endswith("THE CHAIN IS BROKEN at record 3")


def test_a_broken_seal_is_not_overlooked() -> None:
    it = answer("timeline")
    record = copy.deepcopy(it["records"][0]) | {"seal_intact": False}
    assert any("SEAL BROKEN" in line for line in timeline_lines(it | {"records": [record]}))


def test_a_label_scanned_at_the_bedside_is_shown() -> None:
    record = answer("timeline")["records"][0] | {"label": {"coi_id": "COI-X", "lot": "L1", "ndc": "1-2-3"}}
    assert any("lot L1" in line for line in timeline_lines(answer("timeline") | {"records": [record]}))


def test_a_claim_shows_every_line_and_what_stops_it() -> None:
    for claim in answer("claims")["claims"]:
        text = "\n".join(claim_lines(claim))
        for line in claim["lines"]:
            assert line["charge"] in text
            assert line["hcpcs"] is None or line["hcpcs"] in text
        for edit in (*claim["errors"], *claim["warnings"]):
            assert edit["message"] in text
            assert edit["fix"] in text
        assert f"total {claim['total']}" in text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-10-02T09:00:00-04:00", "2026-10-02 09:00 -0400"),
        ("2026-09-11T13:00:00Z", "2026-09-11 13:00 UTC"),
        ("2026-09-11T13:00:00+00:00", "2026-09-11 13:00 UTC"),
        ("2026-09-11", "2026-09-11"),
        (None, ""),
    ],
)
def test_times_keep_their_own_offset(text: str | None, read: str) -> None:
    assert moment(text) == read


def test_receipts_are_counted_and_each_event_that_is_not_in_an_encounter_is_named_with_its_reason() -> None:
    def receipt(disposition: str, **values: Any) -> dict[str, Any]:
        empty = {"event_id": None, "encounter_id": None, "reasons": [], "problems": [], "quarantine_id": None}
        return empty | {"disposition": disposition} | values

    taken = [receipt("accepted", event_id=f"evt_{n}", encounter_id="enc_1") for n in range(3)]
    others = [
        receipt("duplicate", event_id="evt_4", encounter_id="enc_1"),
        receipt("conflict", event_id="evt_5", encounter_id="enc_1", reasons=["came before with other content"]),
        receipt("quarantined", event_id="evt_6", quarantine_id="qua_6", reasons=["no encounter is known"]),
        receipt(
            "invalid", quarantine_id="qua_7", problems=[{"path": "data.lot", "message": "is missing"}], reasons=["x"]
        ),
        receipt("accepted", event_id="evt_8"),
    ]
    assert list(receipt_lines({"receipts": taken + others})) == [
        "3 accepted  enc_1",
        "1 duplicate  enc_1",
        "conflict  evt_5  came before with other content",
        "quarantined  qua_6  no encounter is known",
        "invalid  qua_7  data.lot: is missing",
        "accepted  evt_8",
    ]
    assert list(receipt_lines(taken[0])) == ["1 accepted  enc_1"]
