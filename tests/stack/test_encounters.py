"""Whole encounters through HTTP: the claims come out, whatever is repeated, reordered or killed on the way."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import httpx
import pytest

from app.tools.scenario_expectations import Scenario, differences, scenarios
from tests.kit.waiting import eventually
from tests.stack.harness import ANCHOR, Stack, events_of

SCENARIOS = {scenario.feed.name[0]: scenario for scenario in scenarios()}


def seen(stack: Stack, subject: str) -> dict[str, Any]:
    """The encounter as its users see it."""
    shown = stack.settled(subject)
    alerts = stack.get(f"/v1/encounters/{subject}/alerts")["alerts"]
    return {
        **shown,
        # A claim's own life (filing limits, silence) runs by the clock of today; these feeds lie in the past.
        "alerts": [a for a in alerts if a["state"] != "resolved" and not a["key"].startswith("claim.")],
        "holds": stack.get(f"/v1/encounters/{subject}/holds")["holds"],
        "claims": stack.claims(subject),
        "custody": sorted((r["step"], r["at"]) for r in stack.get(f"/v1/encounters/{subject}/timeline")["records"]),
    }


def content(view: dict[str, Any]) -> dict[str, Any]:
    """What 'the same result' means: stage, holds, open alerts, custody content, current content of each claim."""
    claims = {
        key: (
            claim["state"],
            claim["total"],
            claim["type_of_bill"],
            [(line["revenue_code"], line["hcpcs"], line["units"], line["charge"]) for line in claim["lines"]],
            [(d["role"], d["code"]) for d in claim["diagnoses"]],
        )
        for key, claim in view["claims"].items()
    }
    return {
        "stage": view["stage"],
        "holds": sorted(hold["id"] for hold in view["holds"]),
        "alerts": sorted(alert["kind"] for alert in view["alerts"]),
        "claims": claims,
        "custody": view["custody"],
        "verified": view["custody_verified"],
    }


def finished(stack: Stack, subject: str, scenario: Scenario) -> dict[str, Any]:
    """The encounter once it is as expected; fails with the differences."""
    expected = scenario.expected["end"]
    last: list[str] = []

    def as_expected() -> dict[str, Any] | None:
        view = seen(stack, subject)
        last[:] = differences(expected, view, ANCHOR)
        return None if last else view

    try:
        return dict(eventually(as_expected, "as expected"))
    except AssertionError:
        raise AssertionError("\n".join(last)) from None


@pytest.mark.parametrize("letter", sorted(SCENARIOS))
def test_a_scenario_gives_the_expected_file_beside_it(stack: Stack, letter: str) -> None:
    subject, events = events_of(SCENARIOS[letter], f"-once-{letter}")
    receipts = stack.post(events)
    assert {receipt["disposition"] for receipt in receipts} == {"accepted"}
    view = finished(stack, subject, SCENARIOS[letter])
    assert all(claim["errors"] == [] for claim in view["claims"].values())


def test_a_missing_layer_holds_before_anything_is_collected(own_stack: Stack) -> None:
    """On a stack of its own: certificates belong to the center, and another encounter's feed may have brought them."""
    scenario = SCENARIOS["d"]
    parts = {event.part for event in scenario.feed.events} - {"first"}
    subject, events = events_of(scenario, "-first-d", without=parts)
    own_stack.post(events)
    view = seen(own_stack, subject)
    assert differences(scenario.checkpoints["first"], view, ANCHOR) == []
    assert view["stage"] == "apheresis"
    assert any(hold["layer"] == "authorized_center" for hold in view["holds"])
    assert any(alert["severity"] == "critical" and alert["state"] == "open" for alert in view["alerts"])
    assert view["claims"] == {}
    assert view["cleared"] == []
    own_stack.post(events_of(scenario, "-first-d")[1])
    finished(own_stack, subject, scenario)


def test_the_same_feed_twice_changes_nothing(stack: Stack) -> None:
    subject, events = events_of(SCENARIOS["a"], "-twice")
    stack.post(events)
    before = content(finished(stack, subject, SCENARIOS["a"]))
    assert {receipt["disposition"] for receipt in stack.post(events)} == {"duplicate"}
    assert content(seen(stack, subject)) == before


@pytest.mark.parametrize("letter", ["a", "f"])
def test_a_shuffled_feed_gives_the_same_result(stack: Stack, letter: str) -> None:
    subject, events = events_of(SCENARIOS[letter], f"-shuffled-{letter}")
    random.Random(letter).shuffle(events)
    for begin in range(0, len(events), 7):
        stack.post(events[begin : begin + 7])
    finished(stack, subject, SCENARIOS[letter])


@pytest.mark.parametrize("victim", ["worker", "gateway", "temporal", "stack"])
def test_killed_in_the_middle_and_restarted_nothing_is_lost_or_doubled(own_stack: Stack, victim: str) -> None:
    subject, events = events_of(SCENARIOS["a"], f"-killed-{victim}")
    third = len(events) // 3
    own_stack.post(events[:third])
    kill(own_stack, victim)
    eventually(lambda: accepted(own_stack, events[third : 2 * third]), "the gateway takes events again")
    kill(own_stack, victim)
    eventually(lambda: accepted(own_stack, events), "the gateway takes events again")
    view = finished(own_stack, subject, SCENARIOS["a"])
    assert sorted(view["claims"]) == ["A/1", "B/1", "C/1"]


def accepted(stack: Stack, events: list[dict[str, Any]]) -> bool:
    """A client that repeats what was not acknowledged: in small batches, so that a kill meets it on the way."""
    try:
        receipts = [receipt for begin in range(0, len(events), 5) for receipt in stack.post(events[begin : begin + 5])]
    except (httpx.HTTPError, AssertionError, OSError):
        return False
    return {receipt["disposition"] for receipt in receipts} <= {"accepted", "duplicate"}


def kill(stack: Stack, victim: str) -> None:
    """`kill -9`, without a word of warning."""
    if victim == "stack":
        stack.kill()
        stack.start()
        return
    pattern = "server start-dev" if victim == "temporal" else f"app.cli.main {victim}"
    for pid in stack.pids(pattern):
        os.kill(pid, signal.SIGKILL)
