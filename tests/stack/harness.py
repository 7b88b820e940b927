"""A running embedded stack for tests: started as its user would start it, driven over HTTP, killed without mercy."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from app.tools.scenario_expectations import Scenario
from intake.scenario_feeds import expand
from tests.kit.databases import POSTGRESQL, engine_of_this_test, new_postgres
from tests.kit.waiting import eventually

READY_SECONDS = 60


@cache
def _database_of(_data_dir: Path) -> str:
    return new_postgres()


class Stack:
    """`cart-encounter up` on a data directory and free ports."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.data_dir = data_dir
        self.arguments = arguments
        self.ready: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        self.environment: dict[str, str] = {}
        if engine_of_this_test() == POSTGRESQL:
            self.environment["CART_DATABASE_URL"] = _database_of(data_dir)

    @property
    def database(self) -> str:
        """The URL of its database."""
        return self.environment.get("CART_DATABASE_URL", f"sqlite:///{self.data_dir / 'encounters.db'}")

    def start(self) -> Stack:
        ports = [f"--{name}-port=0" for name in ("http", "mllp", "temporal", "ui", "metrics")]
        command = [
            sys.executable,
            "-m",
            "app.cli.main",
            "up",
            "--data-dir",
            str(self.data_dir),
            *ports,
            *self.arguments,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **self.environment}
        )
        # A start that hangs must fail the test, not the run.
        watchdog = threading.Timer(READY_SECONDS, self.process.kill)
        watchdog.start()
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line.startswith("ready "):
            self.process.wait()
            assert self.process.stderr is not None
            raise AssertionError(f"not ready: {line!r} {self.process.stderr.read()!r}")
        self.ready = dict(part.split("=", 1) for part in line.split()[1:])
        return self

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self._close()
        return code

    def kill(self) -> None:
        """SIGKILL for the supervisor; its children die with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        self._close()
        eventually(lambda: not self.pids("temporal") and not self.pids("app.cli.main"), "children are gone")

    def _close(self) -> None:
        assert self.process is not None
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def pids(self, pattern: str) -> list[int]:
        """Processes of this stack whose command line or environment names its data directory."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            mine = str(self.data_dir) in command or f"CART_DATA_DIR={self.data_dir}" in environment
            if mine and state != "Z" and re.search(pattern, command) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    @property
    def token(self) -> str:
        return Path(self.ready["token_file"]).read_text().strip()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        return httpx.request(method, self.ready["http"] + path, headers=headers, timeout=30, **options)

    def get(self, path: str) -> Any:
        answer = self.request("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def post(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send a batch; returns its receipts."""
        answer = self.request("POST", "/v1/events", json=events)
        assert answer.status_code == 202, (answer.status_code, answer.text)
        return list(answer.json()["receipts"])

    def settled(self, subject: str) -> dict[str, Any]:
        """The encounter once it has decided on every event of its inbox."""
        return dict(
            eventually(
                lambda: (shown := self.get(f"/v1/encounters/{subject}"))["up_to_date"] and shown,
                f"{subject} is settled",
            )
        )

    def claims(self, subject: str) -> dict[str, dict[str, Any]]:
        """The current claims by letter/ordinal."""
        return {f"{c['letter']}/{c['ordinal']}": c for c in self.get(f"/v1/encounters/{subject}/claims")["claims"]}


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


ANCHOR = date(2026, 9, 14)
"""Day 0 far enough back that every part of every feed is past: a backfilled feed. Its late-feed grace still runs."""


def events_of(
    scenario: Scenario, run: str, anchor: date = ANCHOR, without: set[str] | None = None
) -> tuple[str, list[dict[str, Any]]]:
    feed = scenario.feed
    kept = tuple(event for event in feed.events if event.part not in (without or set()))
    events = expand(feed.model_copy(update={"events": kept}), anchor, suffix=run)
    return next(str(event["subject"]) for event in events if event["type"] == "cart.referral.received"), events
