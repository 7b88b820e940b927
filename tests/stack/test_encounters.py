"""Whole encounters through HTTP: the claims come out, whatever is repeated, reordered or killed on the way."""

from __future__ import annotations

import os
import random
import signal
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from intake.feeds import expand, load_feed
from tests.stack.harness import Stack, eventually, load

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in SCENARIOS.glob("*.expected.json"))
ANCHOR = date(2026, 9, 14)
"""Day 0 far enough back that every part of every feed is past."""


def events_of(name: str, run: str, anchor: date = ANCHOR, parts: set[str] | None = None) -> tuple[str, list[dict[str, Any]]]:
    feed = load_feed(SCENARIOS / f"{name}.json")
    kept = [event for event in feed.events if parts is None or event.part in parts]
    chosen = feed.model_copy(update={"events": tuple(kept)})
    events = expand(chosen, anchor, suffix=run)
    subject = next(event["subject"] for event in events if event["type"] == "cart.referral.received")
    return subject, events


def result(stack: Stack, subject: str) -> dict[str, Any]:
    """What 'the same result' means: stage, holds, open alerts, custody content, current claim content."""
    shown = stack.settled(subject)
    wanted = {key for key, claim in due(stack, subject).items() if claim}
    claims = eventually(
        lambda: (c := stack.claims(subject)) and wanted <= set(c) and c or (not wanted and {"none": {}}), "claims are built"
    )
    alerts = stack.get(f"/v1/encounters/{subject}/alerts")["alerts"]
    timeline = stack.get(f"/v1/encounters/{subject}/timeline")
    return {
        "stage": shown["stage"],
        "holds": sorted(hold["id"] for hold in stack.get(f"/v1/encounters/{subject}/holds")["holds"]),
        "alerts": sorted(alert["key"] for alert in alerts if alert["state"] != "resolved"),
        "claims": {key: (claim.get("state"), claim.get("total"), lines(claim)) for key, claim in claims.items()},
        "custody": sorted((entry["step"], entry["at"]) for entry in timeline["records"]),
        "verified": timeline["verified"],
    }


def due(stack: Stack, subject: str) -> dict[str, bool]:
    return {}


def lines(claim: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (line["hcpcs"], line["revenue_code"], line["units"], line["charge"], line["date_of_service"])
        for line in claim.get("lines", ())
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_gives_its_claims(stack: Stack, name: str) -> None:
    subject, events = events_of(name, f"-once-{name}")
    receipts = stack.post(events)
    assert {receipt["disposition"] for receipt in receipts} == {"accepted"}
    expected = load(SCENARIOS / f"{name}.expected.json")
    stack.settled(subject)
    wanted = {f"{c['letter']}/{c['ordinal']}" for c in expected["claims"]}
    claims = eventually(
        lambda: (c := stack.claims(subject)) and {k for k, v in c.items() if v["state"] == "emitted"} >= wanted and c,
        f"claims {wanted} of {name} are emitted",
    )
    assert set(claims) == wanted
    assert all(claim["errors"] == [] for claim in claims.values())
