"""The world around a product process: senders that send again, a Temporal server that tries again, payers, a pager.

Nothing in it fails: what was sent and not acknowledged is sent again, an activity without an answer is tried again, and the
files that were written are what the payers have.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.common import RetryPolicy

from intake.workflow_client import OF_AN_EARLIER_RUN
from tests.chaos.outcome import doubled, filed
from tests.chaos.processes import ALERTS, SECRET, Died, Failed, Here, NeverDone, Pager, Process, Slow, Stopped
from tests.chaos.product import DEAF, Place
from tests.chaos.runs import Exhausted, Pending, Runs
from tests.kit.waiting import eventually
from workflows import names
from workflows.alert_escalation import AlertEscalation
from workflows.certification_watch import CertificationWatch
from workflows.claim import ClaimLifecycle
from workflows.encounter import CarTEncounter
from workflows.messages import EncounterStart

TYPES = {
    names.ENCOUNTER_TYPE: CarTEncounter,
    names.CLAIM_TYPE: ClaimLifecycle,
    names.WATCH_TYPE: CertificationWatch,
    names.ALERT_ESCALATION_TYPE: AlertEscalation,
}
TRIES = 60
BESIDE = 3.0
"""Seconds that a second process gets before the first one goes on."""
PAUSE = 0.02
DESK = frozenset({names.ALERT_ESCALATION_ID})


@dataclass
class World:
    """Everything outside of the product, and the product process that runs now."""

    home: Path
    site: Path
    runs: Runs
    arm: Mapping[str, Any] | None = None
    here: bool = False
    process: Process | Here | None = None
    pager: Pager | None = None
    processes: int = 0
    tries: int = 0
    died: int = 0
    failures: list[str] = field(default_factory=list)
    skew_until: bool = False
    last: tuple[str, tuple[Any, ...]] = ("", ())

    @property
    def place(self) -> Place:
        self.processes += 1
        return Place(self.home, self.site, self.home / "alerts.toml", f"process {self.processes}")

    def open(self) -> None:
        """A pager of its own, and a process."""
        self.pager = Pager()
        (self.home / "alerts.toml").write_text(ALERTS.format(port=self.pager.server.server_port))
        (self.home / "pager.secret").write_text(SECRET)
        self.process = Here(self.place, self.serve) if self.here else Process(self.place, self.arm)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None
        if self.pager is not None:
            self.pager.close()
            self.pager = None

    # One operation, until it is done.

    def once(self, operation: str, *arguments: Any) -> Any:
        assert self.process is not None
        self.last = (operation, arguments)
        self.process.request(operation, *arguments)
        try:
            return self.process.answer(self.serve)
        except Stopped:
            return self._beside_the_frozen(operation, arguments)

    def until_done(self, operation: str, *arguments: Any) -> Any:
        """
        Raises:
            NeverDone: it failed again and again.
        """
        for _ in range(TRIES):
            self.tries += 1
            try:
                return self.once(operation, *arguments)
            except Died:
                self.died += 1
                self._start_again()
            except Failed as error:
                self.failures.append(f"{operation}: {error}")
                if str(error) != DEAF:
                    time.sleep(PAUSE)
        raise NeverDone(f"{operation} {_named(arguments)}: {TRIES} tries, the last: {self.failures[-1:]}")

    def _start_again(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process = Process(self.place)

    def _beside_the_frozen(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        """Another process does the work, as far as the frozen one lets it; then the frozen one goes on, too late."""
        frozen, self.process = self.process, Process(self.place)
        assert isinstance(frozen, Process)
        assert self.process is not None
        answer, done, waits = None, False, False
        for _ in range(3):
            try:
                self.process.request(operation, *arguments)
                answer, done = self.process.answer(self.serve, within=BESIDE), True
                break
            except Failed as error:
                self.failures.append(f"{operation} beside the frozen process: {error}")
            except Slow:  # it waits for what the frozen one holds
                waits = True
                break
        frozen.go_on()
        with contextlib.suppress(Died, Failed):
            frozen.answer(self.serve, patient=True)
        frozen.kill()
        with contextlib.suppress(Failed):
            if waits:
                answer, done = self.process.answer(self.serve), True
        return answer if done else self.until_done(operation, *arguments)

    def _overtake(self) -> None:
        """A second process does what the first one is at."""
        other = Process(self.place)
        operation, arguments = self.last
        for _ in range(3):
            try:
                other.request(operation, *arguments)
                other.answer(self.serve, within=BESIDE)
                break
            except Slow:  # it waits for what the first one holds
                break
            except Failed as error:
                self.failures.append(f"{operation} in the second process: {error}")
        other.kill()

    def serve(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What a product process asks of the world."""
        if name == "note":
            encounter, note = arguments
            start = EncounterStart(encounter=encounter, carried_alerts=OF_AN_EARLIER_RUN)
            run = self.runs.start(names.ENCOUNTER_TYPE, names.encounter_workflow_id(encounter), start)
            run.update(note.type, note)
        elif name == "start":
            kind, workflow, given, signal_name, signaled, _ = arguments
            run = self.runs.start(kind, workflow, *given)
            if signal_name:
                run.signal(signal_name, *signaled)
        elif name == "overtake":
            self._overtake()
        elif name == "skew":
            self.runs.skew, self.skew_until = arguments[0], True
        elif name == "destination":
            assert self.pager is not None
            self.pager.behave(arguments[0], 0.6)
        return None

    # What happens to the product.

    def post(self, events: list[dict[str, Any]]) -> None:
        """Send until everything is acknowledged; a sender sends again what was not."""
        for _ in range(TRIES):
            status, dispositions = self.until_done("post", events, self.runs.now)
            if status == 202:
                bad = set(dispositions) - {"accepted", "duplicate", "quarantined"}
                assert not bad, f"receipts: {sorted(bad)}"
                return
            self.failures.append(f"post: answered {status}")
            time.sleep(PAUSE)
        raise NeverDone(f"post: {TRIES} tries, the last answered {status}")

    def news(self) -> None:
        """Everything is delivered, decided, carried out and reported."""
        self.until_done("deliver")
        self.work()
        self.until_done("tidy", self.runs.now)
        self.until_done("deliver")
        self.work()
        self.alerts()
        self.until_done("seal", self.runs.now)
        if self.skew_until:
            self.runs.skew, self.skew_until = timedelta(0), False

    def work(self) -> None:
        self.runs.work(self.perform)

    def alerts(self) -> None:
        """The poller sees unreported alerts and signals the escalation."""
        for _ in range(8):
            if not any(self.until_done("alert_work", self.runs.now)):
                return
            run = self.runs.start(names.ALERT_ESCALATION_TYPE, names.ALERT_ESCALATION_ID)
            run.signal(names.ALERT_ESCALATION_SIGNAL)
            self.work()

    def reply(self, text: str, name: str) -> None:
        """A payer's file arrives, whole, and is imported."""
        eventually(lambda: self._dropped(text, name), "the file can be written", 10)
        for _ in range(TRIES):
            if not self.until_done("sweep", self.runs.now):
                return
            time.sleep(PAUSE)
        raise NeverDone("the payer's file stays where it is")

    def _dropped(self, text: str, name: str) -> bool:
        inbox = self.home / "inbox"
        try:
            inbox.mkdir(exist_ok=True)
            (inbox / f".{name}").write_text(text)
            os.replace(inbox / f".{name}", inbox / name)
        except OSError:  # the fault is met by the payer's own program
            return False
        return True

    def advance(self, span: timedelta) -> None:
        """Let time pass; every timer on the way is met."""
        until = self.runs.now + span
        while (timer := self.runs.next_timer(until, DESK)) is not None:
            self.runs.fire(timer)
            self.work()
            self.alerts()
        self.runs.now = until
        self.runs.start(names.WATCH_TYPE, names.WATCH_SCHEDULE)
        self.news()

    def finish(self) -> None:
        """The alert escalation goes on until nothing waits; the watch runs by the right time."""
        for _ in range(40):
            timer = self.runs.next_timer(self.runs.now + timedelta(hours=2))
            if timer is None:
                break
            self.runs.fire(timer)
            self.work()
            self.alerts()
        self.runs.skew = timedelta(0)
        self.runs.start(names.WATCH_TYPE, names.WATCH_SCHEDULE)  # it runs every hour
        self.news()

    def perform(self, one: Pending) -> Any:
        """An activity, by its retry policy."""
        policy: RetryPolicy | None = one.policy
        most = policy.maximum_attempts if policy and policy.maximum_attempts else TRIES
        for attempt in range(1, most + 1):
            self.tries += 1
            try:
                return self.once("act", one.name, one.arguments, one.run.run_id, attempt)
            except Died:
                self.died += 1
                self._start_again()
            except Failed as error:
                self.failures.append(f"{one.name}: {error}")
                if str(error) != DEAF:
                    time.sleep(PAUSE)
        if most < TRIES:
            raise Exhausted(f"{one.name}: {self.failures[-1]}")
        raise NeverDone(f"{one.name}: {TRIES} tries, the last: {self.failures[-1:]}")

    def outcome(self) -> dict[str, Any]:
        """What is to be compared; taken by a new process, from the disk."""
        self._start_again()
        found: dict[str, Any] = self.until_done("outcome")
        claims = filed(self.home / "outbox")
        assert self.pager is not None
        found["payers"] = sorted(one.content for one in claims)
        found["doubled"] = doubled(claims)
        # Escalations come by the clock: after a pause there may be one more or less.
        found["delivered"] = sorted({one for one in self.pager.got if one[0] != "escalated"})
        found["not in the files"] = sorted({row[3] for row in found["files"]} ^ {one.number for one in claims})
        found["without a workflow"] = self._without_a_workflow(found)
        return found

    def _without_a_workflow(self, found: Mapping[str, Any]) -> list[str]:
        running = self.runs.open()
        wrong = []
        for encounter, status in found["ids"].items():
            run = running.get(names.encounter_workflow_id(encounter))
            if status == "open" and run is None:
                wrong.append("an open encounter")
        return wrong + ["a claim with a deadline" for name in found["claims due"] if name not in running]


def _named(arguments: tuple[Any, ...]) -> str:
    return str(arguments[0]) if arguments and isinstance(arguments[0], str) else ""


def new_world(home: Path, site: Path, now: datetime) -> World:
    return World(home, site, Runs(now, dict(TYPES)))
