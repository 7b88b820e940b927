"""A rolling deployment under a steady feed: the release before and today's code side by side, forward, back, forward.

`python -m tests.stack.rolling 200` (`make rolling`) prints the figures of 200 encounters; the suite runs a dozen.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client

from app.tools.scenario_expectations import scenarios
from domain.alerts.watch import NEAR
from intake.scenario_feeds import expand
from tests.kit.fleet import BUSY, Fleet, temporal
from tests.kit.path_feeds import events_of
from tests.kit.paths import AT, TAKE, story_of
from tests.kit.postgres import QUICK, postgres_server
from tests.kit.releases import TODAY, Release, release
from tests.kit.waiting import eventually, while_progressing
from tests.stack.harness import ANCHOR

Event = dict[str, Any]
PATIENCE = 600.0
"""Seconds without any progress after which a run is given up."""
STILL = 15.0
"""Seconds in which nothing may change before the end of an undisturbed run is what others are compared with."""
TURN = 6 * 3600.0
"""Seconds that a sender waits for its share to be allowed; the run itself gives up earlier."""
SENDERS = 4
FINE = {"accepted", "duplicate", "quarantined"}
HARMLESS = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}
"""Causes that the server gives by itself: an event arrived while the task ran, or a worker was stopped."""


def feeds(encounters: int) -> dict[str, list[Event]]:
    """The events of every encounter by its order number: each scenario and each path at each stage, in turn."""
    known = scenarios()
    ways = [(path, stage) for path in sorted(TAKE) for stage in AT if story_of(path, stage) is not None]
    random.Random(13).shuffle(ways)
    made: dict[str, list[Event]] = {}
    for number in range(encounters):
        if number % 2 == 0:
            feed = known[number // 2 % len(known)].feed
            events: list[Event] = list(expand(feed, ANCHOR, suffix=f"-roll-{number}"))
            subject = next(str(one["subject"]) for one in events if one["type"] == "cart.referral.received")
        else:
            story = story_of(*ways[number // 2 % len(ways)])
            assert story is not None
            events, subject = events_of(*story, run=f"roll{number}"), f"ORDER-roll{number}"
        made[subject] = events
    return made


@dataclass
class Feed:
    """Sends every encounter's events in their order, each until it is acknowledged; never beyond its share of them.

    Encounters are at most a random number of events apart, so that at every moment they are in every stage.
    """

    fleet: Fleet
    events: dict[str, list[Event]]
    share: float = 0.0
    pace: float = 0.0
    acknowledged: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        dice = random.Random(7)
        queues = {subject: list(events) for subject, events in self.events.items()}
        order: list[Event] = []
        # Weights of their own: some encounters are nearly over when others have only begun.
        weights = {subject: dice.uniform(0.2, 3) for subject in queues}
        while queues:
            subject = dice.choices(list(queues), [weights[one] for one in queues])[0]
            order.append(queues[subject].pop(0))
            if not queues[subject]:
                del queues[subject]
        self.total = len(order)
        subject_of = {id(event): subject for subject, events in self.events.items() for event in events}
        mine: dict[int, list[Event]] = {n: [] for n in range(SENDERS)}
        places = {subject: n % SENDERS for n, subject in enumerate(self.events)}
        for event in order:
            mine[places[subject_of[id(event)]]].append(event)
        self.threads = [threading.Thread(target=self._send, args=(n, mine[n]), daemon=True) for n in range(SENDERS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def reach(self, share: float, pace: float = 0.0) -> None:
        """Send up to a share of the events, and wait until that is acknowledged."""
        self.allow(share, pace)
        while_progressing(
            self._reached, lambda: self.acknowledged, f"{share:.0%} of the events are acknowledged", PATIENCE
        )

    def allow(self, share: float, pace: float) -> None:
        """Send up to a share of the events, each after a pause of so many seconds."""
        self.share, self.pace = share, pace

    def _reached(self) -> bool:
        assert not self.wrong, self.wrong[:3]
        return self.acknowledged >= int(self.share * self.total) - SENDERS

    def _send(self, number: int, events: list[Event]) -> None:
        for place, event in enumerate(events, start=1):
            eventually(lambda at=place: at <= self.share * len(events) + 0.5, "its turn", TURN)  # type: ignore[misc]
            if self.pace:
                threading.Event().wait(self.pace)
            tries = iter(range(number, 10**6))
            eventually(lambda one=event, n=tries: self._sent(one, next(n)), "acknowledged", PATIENCE, pause=0.05)  # type: ignore[misc]

    def _sent(self, event: Event, gateway: int) -> bool:
        try:
            answer = self.fleet.request("POST", "/v1/events", gateway, json=event)
        except (httpx.HTTPError, OSError, ZeroDivisionError):
            answer = None
        with self.lock:
            if answer is None or answer.status_code in BUSY:
                self.again += 1
                return False
            if answer.status_code != 202 or answer.json()["disposition"] not in FINE:
                self.wrong.append(f"{event['type']}: {answer.status_code} {answer.text[:300]}")
            self.acknowledged += 1
        return True


@contextmanager
def installation(directory: Path, url: str, site: Path) -> Iterator[Fleet]:
    """An installation on a Temporal server of its own, without any process yet."""
    (directory / "data").mkdir(parents=True)
    with temporal(directory) as address:
        settings = {
            "CART_DATA_DIR": str(directory / "data"),
            "CART_DATABASE_URL": url,
            "CART_SITE_FILE": str(site),
            "CART_TEMPORAL_ADDRESS": address,
            # Few: nearly every workflow task replays its whole history, whichever release made it.
            "CART_MAX_CACHED_WORKFLOWS": "4",
        }
        fleet = Fleet(directory / "data", settings)
        try:
            yield fleet
        finally:
            fleet.close()


def site_of(earlier: Release, directory: Path) -> Path:
    """The site file of an installation of the release before, which sends its claims at once."""
    text, held = re.subn(
        r"^bill_hold_days = \d+",
        "bill_hold_days = 0",
        (earlier.code / "deploy/site.example.toml").read_text(),
        flags=re.M,
    )
    assert held
    (directory / "site.toml").write_text(text)
    return directory / "site.toml"


def content(fleet: Fleet, subject: str) -> dict[str, Any]:
    """The same result: stage, outcome, holds, open alerts, custody, and what each claim in use bills."""
    shown = fleet.get(f"/v1/encounters/{subject}")
    alerts = fleet.get(f"/v1/encounters/{subject}/alerts")["alerts"]
    claims = fleet.get(f"/v1/encounters/{subject}/claims")["claims"]
    records = fleet.get(f"/v1/encounters/{subject}/timeline")["records"]
    return {
        "stage": shown["stage"],
        "outcome": shown.get("outcome"),
        "verified": shown["custody_verified"],
        "holds": sorted(hold["id"] for hold in fleet.get(f"/v1/encounters/{subject}/holds")["holds"]),
        # A claim's own life (filing limits, silence) runs by the clock of today; these feeds lie in the past. What the
        # watch finds it finds by the hour: a run over a full hour has alerts that only the next hour resolves.
        "alerts": sorted(
            one["kind"]
            for one in alerts
            if one["state"] != "resolved" and not one["key"].startswith("claim.") and one["kind"] not in NEAR.values()
        ),
        "custody": sorted((one["step"], one["at"]) for one in records),
        "claims": {
            f"{one['letter']}/{one['ordinal']}": (
                one["total"],
                [(line["revenue_code"], line["hcpcs"], line["units"], line["charge"]) for line in one["lines"]],
                [(each["role"], each["code"]) for each in one["diagnoses"]],
            )
            for one in claims
            if one["state"] not in ("withdrawn", "superseded", "voided")
        },
    }


def stages(fleet: Fleet) -> Counter[str]:
    """Open encounters by stage, as the board lists them."""
    return Counter(one["stage"] for one in fleet.get("/v1/encounters?limit=500")["encounters"])


def ended(fleet: Fleet, subjects: list[str], expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every encounter once it has decided on all of its events; with `expected`, once it is that."""
    found: dict[str, Any] = {}
    open_ones = list(subjects)

    def over() -> bool:
        for subject in list(open_ones):
            if not fleet.get(f"/v1/encounters/{subject}")["up_to_date"]:
                continue
            found[subject] = content(fleet, subject)
            if expected is None or found[subject] == expected[subject]:
                open_ones.remove(subject)
        return not open_ones

    def still() -> bool:
        """Claims have workflows of their own, which go on when an encounter has decided on its last event."""
        before = dict(found)
        time.sleep(STILL)
        found.update({subject: content(fleet, subject) for subject in subjects})
        return found == before

    try:
        while_progressing(over, lambda: (len(open_ones), str(found)), "every encounter ends", PATIENCE)
        if expected is None:
            while_progressing(still, lambda: str(found), "nothing changes any more", PATIENCE)
    except AssertionError as error:
        subject = next(iter(open_ones), "")
        wanted, got = (expected or {}).get(subject, {}), found.get(subject, {})
        differ = {key: (wanted.get(key), got.get(key)) for key in wanted if wanted.get(key) != got.get(key)}
        raise AssertionError(f"{error}; {len(open_ones)} are open, {subject}: expected, found: {differ}") from None
    return found


async def failed_tasks(address: str) -> tuple[int, list[str]]:
    """How many runs there are, and every workflow task of them that failed by the fault of code."""
    client, found, runs = await Client.connect(address), [], 0
    async for run in client.list_workflows():
        runs += 1
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                cause = event.workflow_task_failed_event_attributes.cause
                if cause not in HARMLESS:
                    found.append(f"{run.workflow_type} {WorkflowTaskFailedCause.Name(cause)}")
    return runs, found


def sent_once(outbox: Path) -> int:
    """How many claim files there are; fails where two have one number of a claim."""
    texts = [path.read_text() for path in outbox.rglob("*.x12")]
    numbers = Counter(number for text in texts for number in re.findall(r"CLM\*([^*]+)\*", text))
    assert not [number for number, times in numbers.items() if times > 1], "a claim was sent twice"
    return len(texts)


@dataclass
class Report:
    """The figures of one run."""

    encounters: int
    events: int
    stages: Counter[str]
    replaced: int
    again: int
    claims: int
    runs: int
    seconds: float

    def __str__(self) -> str:
        by_stage = ", ".join(f"{number} {stage}" for stage, number in sorted(self.stages.items()))
        return (
            f"{self.encounters} encounters, {self.events} events; open at the first replacement: {by_stage}; "
            f"{self.replaced} processes replaced one by one (forward, back, forward), {self.again} tries repeated by senders; "
            f"{self.runs} workflow runs, 0 failed workflow tasks; {self.claims} claim files, none twice; "
            f"all end as undisturbed; {self.seconds:.0f} s"
        )


def rehearse(
    directory: Path, encounters: int, of_each: int, pace: float, note: Callable[[str], object] = print
) -> Report:
    """Both installations: one undisturbed, one that is rolled forward, back, and forward again while events arrive."""
    began, before, events = time.monotonic(), release("0.1.0"), feeds(encounters)
    site, subjects = site_of(before, directory), list(events)
    with postgres_server(QUICK) as server:
        with installation(directory / "undisturbed", server.create("undisturbed"), site) as fleet:
            fleet.prepare(TODAY)
            fleet.start(TODAY, of_each)
            feed = Feed(fleet, events)
            feed.start()
            feed.reach(1.0)
            note(f"undisturbed: {feed.total} events acknowledged after {time.monotonic() - began:.0f} s")
            expected = ended(fleet, subjects)
            note(f"undisturbed: ended after {time.monotonic() - began:.0f} s")
        with installation(directory / "rolled", server.create("rolled"), site) as fleet:
            fleet.prepare(before)
            fleet.start(before, of_each)
            feed = Feed(fleet, events)
            feed.start()
            feed.reach(0.35)
            found = stages(fleet)
            feed.allow(0.45, pace)
            TODAY.run("deploy", "migrate", **fleet.settings)
            TODAY.run("deploy", "temporal", **fleet.settings)
            for share, to in ((0.6, TODAY), (0.75, before), (0.9, TODAY)):
                feed.allow(share, pace)
                fleet.roll(to)
                feed.reach(share)
                note(f"every process is of {to.name} after {time.monotonic() - began:.0f} s")
            feed.reach(1.0)
            ended(fleet, subjects, expected)
            replaced = fleet.started - 2 * of_each
            for member in fleet.members:
                fleet.count(member)
            runs, failed = asyncio.run(failed_tasks(fleet.settings["CART_TEMPORAL_ADDRESS"]))
            assert failed == []
            assert [one for one in fleet.failed_tasks if "NonDeterminism" in one or "WorkflowError" in one] == []
            claims = sent_once(fleet.home / "outbox")
    return Report(len(subjects), feed.total, found, replaced, feed.again, claims, runs, time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encounters", type=int, nargs="?", default=200)
    parser.add_argument("--of-each", type=int, default=2, help="gateways, and workers")
    parser.add_argument(
        "--pace", type=float, default=0.05, help="seconds between a sender's events during a replacement"
    )
    asked = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="cart-rolling-"))
    print(rehearse(directory, asked.encounters, asked.of_each, asked.pace))
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
