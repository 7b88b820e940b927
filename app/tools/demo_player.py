"""Runs one scenario live: skips clinical time to each day, sends that day's events, waits for the decision."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import httpx
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from app.tools.scenario_expectations import Scenario, differences
from intake.scenario_feeds import expand
from workflows.names import encounter_workflow_id

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05
CLOSING = timedelta(days=45)
"""Longer than any window after an infusion; the encounter closes within it."""

Event = Mapping[str, Any]


class DemoFailed(RuntimeError):
    """The stack refused an event or did not decide in time."""


class Gateway:
    """HTTP client of the demo."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str) -> Any:
        answer = await self._client.get(path)
        if answer.status_code != 200:
            raise DemoFailed(f"GET {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    async def post(self, events: list[Event]) -> list[dict[str, Any]]:
        """Sends a batch; every event must be accepted."""
        answer = await self._client.post("/v1/events", json=events)
        if answer.status_code != 202:
            raise DemoFailed(f"POST /v1/events: {answer.status_code} {answer.text[:300]}")
        receipts = list(answer.json()["receipts"])
        refused = [receipt for receipt in receipts if receipt["disposition"] != "accepted"]
        if refused:
            raise DemoFailed(f"POST /v1/events: not accepted: {refused[:3]}")
        return receipts


@dataclass
class Course:
    """The result of one scenario."""

    scenario: Scenario
    anchor: date
    encounter: str = ""
    stage: str = ""
    problems: list[str] = field(default_factory=list)
    encounter_view: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    timeline: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.scenario.feed.name


Progress = Callable[[Course, date], None]


class Player:
    """Runs one scenario to its end and compares it with its expected outcome."""

    def __init__(
        self, scenario: Scenario, anchor: date, gateway: Gateway, temporal: Client, progress: Progress
    ) -> None:
        self.course = Course(scenario, anchor)
        self.gateway, self.temporal, self.progress = gateway, temporal, progress
        self.skipper = TimeSkipper(temporal, config=TimeSkippingConfig(enabled=False))

    async def play(self) -> Course:
        """Sends every event on its day, then skips the windows after the infusion."""
        feed, expected = self.course.scenario.feed, self.course.scenario.expected
        waiting = dict(self.course.scenario.checkpoints)
        events = expand(feed, self.course.anchor)
        parts = {event["id"]: part.part for event, part in zip(events, feed.in_order, strict=True)}
        for day, batch in _by_day(events):
            done = [part for part in waiting if parts[batch[0]["id"]] != part]
            for part in done:
                await self._compare(waiting.pop(part), f"after {part}")
            await self._day(day, batch)
        await self._compare(expected["end"], "at the end")
        await self._close()
        await self._compare(expected["closed"], "after closing")
        return self.course

    async def _day(self, day: date, batch: list[Event]) -> None:
        if self.course.encounter:
            await self._skip_to(max(datetime.fromisoformat(event["time"]) for event in batch))
        receipts = await self.gateway.post(batch)
        known = [receipt["encounter_id"] for receipt in receipts if receipt["encounter_id"]]
        self.course.encounter = self.course.encounter or known[0]
        view = await self._settled()
        self.course.stage = view["stage"]
        self.progress(self.course, day)

    async def _skip_to(self, moment: datetime) -> None:
        """Skips the encounter's time to a moment; deadlines on the way pass."""
        ahead = moment - await self.skipper.get_current_time(self._handle())
        if ahead > timedelta(0):
            await self.skipper.fast_forward(self._handle(), ahead)

    async def _close(self) -> None:
        await self.skipper.fast_forward(self._handle(), CLOSING)
        await self._until(lambda view: bool(view["stage"] == "closed"), "closed")
        self.course.stage = "closed"
        self.progress(
            self.course, self.course.anchor + timedelta(days=self.course.scenario.expected["closed"]["by_day"])
        )

    def _handle(self) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(encounter_workflow_id(self.course.encounter))

    async def _settled(self) -> dict[str, Any]:
        return await self._until(lambda view: bool(view["up_to_date"]), "decided")

    async def _until(self, enough: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            view: dict[str, Any] = await self.gateway.get(f"/v1/encounters/{self.course.encounter}")
            if enough(view):
                return view
            await asyncio.sleep(POLL_SECONDS)
        raise DemoFailed(f"{self.course.name}: not {what} within {PATIENCE_SECONDS:.0f} s")

    async def _compare(self, expected: Mapping[str, Any], when: str) -> None:
        """Compares with the expected outcome, with a wait for claims, which are built in parallel."""
        deadline = time.monotonic() + PATIENCE_SECONDS / 3
        while True:
            found = differences(expected, await self._seen(), self.course.anchor)
            if not found or time.monotonic() > deadline:
                break
            await asyncio.sleep(4 * POLL_SECONDS)
        self.course.problems += [f"{when}: {difference}" for difference in found]

    async def _seen(self) -> dict[str, Any]:
        path = f"/v1/encounters/{self.course.encounter}"
        view, holds, claims, alerts, timeline = await asyncio.gather(
            *(self.gateway.get(path + part) for part in ("", "/holds", "/claims", "/alerts", "/timeline"))
        )
        course = self.course
        course.encounter_view, course.timeline, course.alerts = view, timeline, alerts["alerts"]
        course.claims = {f"{claim['letter']}/{claim['ordinal']}": claim for claim in claims["claims"]}
        return {
            **view,
            "holds": holds["holds"],
            "claims": course.claims,
            "alerts": [alert for alert in course.alerts if alert["state"] != "resolved"],
            "custody_verified": timeline["verified"],
        }


def _by_day(events: list[dict[str, Any]]) -> Iterator[tuple[date, list[Event]]]:
    """Yields the events of each day, in the feed's time zone."""
    for day, batch in groupby(events, key=lambda event: datetime.fromisoformat(event["time"]).date()):
        yield day, list(batch)
