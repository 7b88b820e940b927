"""The command line's questions: JSON of the contract in a pipe, readable text on request, an order number as it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import Any

from tests.kit.feeds import SCENARIOS
from tests.kit.waiting import eventually
from tests.stack.harness import Stack, events_of


def ask(stack: Stack, *words: str) -> str:
    command = [sys.executable, "-m", "app.cli.main", *words, "--data-dir", str(stack.data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_pipe_gets_the_contract_and_a_person_gets_words(stack: Stack) -> None:
    _, events = events_of(SCENARIOS["d"], "-reading", date(2026, 8, 3), without={"late"})
    subject = "ORDER/7 B"
    stack.post([event | {"subject": subject} if event["subject"].startswith("ORD-") else event for event in events])
    encounter = stack.settled(subject.replace("/", "%2F").replace(" ", "%20"))["encounter_id"]

    assert json.loads(ask(stack, "show", subject))["encounter_id"] == encounter
    assert json.loads(ask(stack, "timeline", subject, "--json")) == stack.get(f"/v1/encounters/{encounter}/timeline")
    words = ask(stack, "show", subject, "--text")
    assert words.startswith(encounter)
    for hold in stack.get(f"/v1/encounters/{encounter}/holds")["holds"]:
        assert hold["fix"] in ask(stack, "holds", subject, "--text")
    assert ask(stack, "claims", subject, "--text").strip()


def test_one_event_is_followed_through_the_logs_of_gateway_and_worker(stack: Stack) -> None:
    _, events = events_of(SCENARIOS["c"], "-logs", date(2026, 8, 3))
    receipts = stack.post(events)
    shown = stack.settled(events[0]["subject"])
    encounter, charged = shown["encounter_id"], receipts[-1]["event_id"]

    def steps(process: str, reference: str) -> list[dict[str, Any]]:
        lines = (stack.data_dir / "logs" / f"{process}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if reference in line]

    eventually(lambda: any(line["step"] == "event.noted" for line in steps("gateway", charged)), "it is noted")
    taken, noted = steps("gateway", charged)
    assert (taken["step"], noted["step"]) == ("event.accepted", "event.noted")
    assert taken["encounter"] == noted["encounter"] == encounter
    assert taken["sequence"] == noted["sequence"]
    decided = steps("worker", charged)[0]
    assert (decided["step"], decided["encounter"]) == ("encounter.decided", encounter)
    assert decided["sequence"] >= taken["sequence"]
    assert decided["workflow"] == f"cart-encounter/{encounter}"
    worker = {line["step"] for line in steps("worker", encounter)}
    assert worker >= {"encounter.decided", "custody.recorded", "claim.emitted", "alert.opened"}
