"""The demonstration without its stack: what it refuses, what it calls a difference, what it shows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from app.settings import CannotStart
from app.tools.demo import run_demo
from app.tools.demo_player import Course, DemoFailed, Gateway
from app.tools.demo_report import summary
from app.tools.demo_stack import RunningStack, start_stack
from app.tools.scenario_expectations import Scenario, scenarios
from tests.kit.files import DOCS

CONTRACT = DOCS / "contract" / "answers"
STACK = RunningStack(Path("somewhere"), 4711, "http://h:1", "http://h:2", "http://h:3/metrics", "h:4", "token")


def answer(name: str) -> Any:
    return json.loads((CONTRACT / f"{name}.example.json").read_text(encoding="utf-8"))


def gateway(respond: Callable[[httpx.Request], httpx.Response]) -> Gateway:
    return Gateway(httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://gateway"))


@pytest.fixture
def course() -> Course:
    whole: Scenario = scenarios()[0]
    played = Course(whole, date(2026, 6, 10), encounter="enc_1", stage="closed")
    played.encounter_view = answer("encounter") | {
        "milestones": answer("timeline")["milestones"],
        "vein_to_vein_days": 24,
    }
    played.timeline = answer("timeline")
    played.alerts = [answer("alert") | {"state": "resolved"}]
    played.claims = {f"{claim['letter']}/{claim['ordinal']}": claim for claim in answer("claims")["claims"]}
    return played


def shown(course: Course, kept: bool = False) -> str:
    out = io.StringIO()
    summary(Console(file=out, width=118), [course], STACK, 12.3, kept)
    return out.getvalue()


def test_the_summary_is_readable_by_coordinator_and_biller(course: Course) -> None:
    text = shown(course)

    assert "apheresis 2026-05-17" in text
    assert "Vein to vein  24 days" in text
    assert "$811,565.25" in text
    assert "DRG 018" in text
    assert "certification_missing (critical, resolved)" in text
    assert "chain verified" in text
    assert "1 of 1 encounters have the expected outcome" in text


def test_a_difference_is_shown_and_counted(course: Course) -> None:
    course.problems.append("at the end: C/1 total: expected 1, got 2")

    text = shown(course)

    assert "DIFFERS  a_mcl_medicare_inpatient: at the end: C/1 total" in text
    assert "0 of 1 encounters" in text


def test_a_broken_chain_is_not_called_verified(course: Course) -> None:
    course.timeline["verified"] = False

    assert "chain BROKEN" in shown(course)


def test_a_stack_that_is_kept_says_where_it_serves_and_how_to_stop_it(course: Course) -> None:
    assert "http://h:2" in shown(course, kept=True)
    assert "kill 4711" in shown(course, kept=True)
    assert "kill 4711" not in shown(course, kept=False)


async def test_an_event_that_is_not_accepted_ends_the_demonstration() -> None:
    receipts = answer("receipts")

    with pytest.raises(DemoFailed, match="not accepted"):
        await gateway(lambda request: httpx.Response(202, json=receipts)).post([{}])


async def test_a_refused_batch_ends_the_demonstration() -> None:
    with pytest.raises(DemoFailed, match="POST /v1/events: 503"):
        await gateway(lambda request: httpx.Response(503, text="away")).post([{}])


async def test_a_used_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")

    with pytest.raises(CannotStart, match="was used before"):
        await run_demo(data_dir=tmp_path)


async def test_a_stack_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "encounters.db").write_bytes(b"")

    with pytest.raises(CannotStart, match="is incomplete"):
        await start_stack(tmp_path)
