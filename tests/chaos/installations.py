"""Running installations: the embedded stack on SQLite, and separate processes on PostgreSQL, two of each, behind links.

Every process that ends is started again, as a supervisor or an orchestrator does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.metrics import free_port
from app.process.child_processes import die_with_parent
from app.process.supervisor import StackOptions, _server_command
from app.settings import Settings
from store.engine import Database
from store.keys import create_keyring
from tests.chaos.cases import MEMORY, may_mount
from tests.chaos.kinds import mount, unmount
from tests.chaos.links import Link, tcp, unix
from tests.chaos.processes import ALERTS, SECRET, Pager
from tests.chaos.product import TOKEN
from tests.kit.files import SITE_FILE
from tests.kit.postgres import Outage, postgres_url
from tests.kit.waiting import eventually
from tests.stack.harness import Stack

SIZE = b"size=400m"
ROLES = {"gateway": "app.cli.main gateway", "worker": "app.cli.main worker", "temporal": "server start-dev"}


def site_without_hold(directory: Path) -> Path:
    """The example site, live, whose claims go out as soon as they are emitted."""
    text = SITE_FILE.read_text(encoding="utf-8").replace('mode = "shadow"', 'mode = "live"')
    path = directory / "site.toml"
    path.write_text(text.replace("bill_hold_days = 4", "bill_hold_days = 0"), encoding="utf-8")
    return path


class Sender(Protocol):
    """A patient's senders and payers, who can send again what they sent."""

    story: str

    def again(self) -> None: ...


class Installation:
    """What both kinds share: a directory on a small disk of its own where that is possible, a pager, a site."""

    name = ""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cart-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
        self.data = self.directory / "data"
        self.data.mkdir()
        self.own_disk = may_mount()
        if self.own_disk:
            mount(b"tmpfs", bytes(self.data), b"tmpfs", 0, SIZE)
        self.pager = Pager()
        self.site = site_without_hold(self.directory)
        self.alerts = self.directory / "alerts.toml"
        self.alerts.write_text(ALERTS.format(port=self.pager.server.server_port))
        (self.directory / "pager.secret").write_text(SECRET)
        self.turn = 0
        self.patients: list[Sender] = []

    def close(self) -> None:
        self.pager.close()
        if self.own_disk:
            with contextlib.suppress(OSError):
                unmount(str(self.data))
        shutil.rmtree(self.directory, ignore_errors=True)

    # The same face for both.

    database = ""
    token = ""

    def urls(self) -> list[str]:
        raise NotImplementedError

    def temporal(self) -> str:
        raise NotImplementedError

    def pids(self, role: str) -> list[int]:
        return Stack(self.data).pids(ROLES[role])

    def settings(self) -> Settings:
        return Settings(data_dir=self.data, database_url=self.database, site_file=self.site)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call; the gateways in turn.

        Raises:
            httpx.HTTPError: no answer.
        """
        self.turn += 1
        urls = self.urls()
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(
            method, urls[self.turn % len(urls)] + path, headers=headers, timeout=15, trust_env=False, **options
        )

    def get(self, path: str) -> Any:
        """The answer, or None where there is none now."""
        try:
            answer = self.request("GET", path)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def answers(self) -> bool:
        return all(self._ready(url) for url in self.urls())

    def _ready(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=3, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


class Embedded(Installation):
    """`cart-encounter up`."""

    name = "embedded, SQLite"

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        super().__init__()
        self.stack = Stack(self.data, "--site", str(self.site))
        self.stack.environment = {"CART_ALERTS_FILE": str(self.alerts), **(environment or {})}
        self.database = f"sqlite:///{self.data / 'encounters.db'}"

    def start(self) -> None:
        self.stack.start()
        self.token = self.stack.token

    def urls(self) -> list[str]:
        return [self.stack.ready["http"]]

    def temporal(self) -> str:
        return self.stack.ready["temporal"]

    def kill_all(self) -> None:
        """The supervisor and with it everything, without a word; started again by the caller."""
        self.stack.kill()

    def close(self) -> None:
        if self.stack.process is not None and self.stack.process.poll() is None:
            self.stack.kill()
        super().close()


class Separate(Installation):
    """A Temporal server, two gateways and two workers as processes of their own, PostgreSQL, and a link for each way."""

    name = "separate processes, PostgreSQL"

    def __init__(self) -> None:
        super().__init__()
        self.server = Outage(Path(tempfile.mkdtemp(prefix="cart-pg-")))
        direct = postgres_url(self.server.uri, "cart", create=True)
        database = Database(direct)
        database.migrate()
        database.close()
        self.database, self.token = direct, TOKEN
        create_keyring(self.data / "keys.json")
        (self.data / "token").write_text(TOKEN)
        host = self.server.uri.partition("host=")[2]
        options = StackOptions(self.data, self.site, temporal_port=free_port(), ui_port=free_port(), http_port=1)
        self.temporal_port = options.temporal_port
        self.links = {
            "gateway to PostgreSQL": Link(unix(f"{host}/.s.PGSQL.5432")),
            "worker to PostgreSQL": Link(unix(f"{host}/.s.PGSQL.5432")),
            "gateway to Temporal": Link(tcp("127.0.0.1", options.temporal_port)),
            "worker to Temporal": Link(tcp("127.0.0.1", options.temporal_port)),
        }
        self.ports = [free_port(), free_port()]
        self.logs = self.directory / "logs"
        self.logs.mkdir()
        program = [sys.executable, "-P", "-m", "app.cli.main"]
        self.commands: dict[str, tuple[list[str], dict[str, str]]] = {
            "temporal": (_server_command(options, self.settings()), {"CART_DATA_DIR": str(self.data)})
        }
        for number in (0, 1):
            self.commands[f"worker-{number}"] = ([*program, "worker"], self._environment("worker", free_port()))
            self.commands[f"gateway-{number}"] = (
                [*program, "gateway"],
                self._environment("gateway", free_port()) | {"CART_HTTP_PORT": str(self.ports[number])},
            )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.stopped = threading.Event()

    def _environment(self, role: str, metrics: int) -> dict[str, str]:
        port = self.links[f"{role} to PostgreSQL"].port
        return {
            "CART_DATA_DIR": str(self.data),
            "CART_SITE_FILE": str(self.site),
            "CART_ALERTS_FILE": str(self.alerts),
            "CART_DATABASE_URL": f"postgresql+psycopg://postgres:@127.0.0.1:{port}/cart",
            "CART_TEMPORAL_ADDRESS": f"127.0.0.1:{self.links[f'{role} to Temporal'].port}",
            "CART_METRICS_PORT": str(metrics),
        }

    def start(self) -> None:
        self._launch("temporal")
        eventually(self._temporal_listens, "Temporal listens", 60)
        for name in self.commands:
            if name != "temporal":
                self._launch(name)
        threading.Thread(target=self._keep, daemon=True).start()
        eventually(self.answers, "both gateways are ready", 120)

    def _temporal_listens(self) -> bool:
        try:
            tcp("127.0.0.1", self.temporal_port)().close()
        except OSError:
            return False
        return True

    def _launch(self, name: str) -> None:
        command, environment = self.commands[name]
        with (self.logs / f"{name}.log").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                preexec_fn=die_with_parent,
            )

    def _keep(self) -> None:
        while not self.stopped.wait(0.5):
            for name, process in list(self.processes.items()):
                if process.poll() is not None and not self.stopped.is_set():
                    self._launch(name)

    def pids(self, role: str) -> list[int]:
        return [one.pid for name, one in self.processes.items() if name.startswith(role) and one.poll() is None]

    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def temporal(self) -> str:
        return f"127.0.0.1:{self.temporal_port}"

    def kill_all(self) -> None:
        """Every process of the product; started again one by one."""
        for role in ("gateway", "worker"):
            for pid in self.pids(role):
                kill(pid)

    def close(self) -> None:
        self.stopped.set()
        for process in self.processes.values():
            with contextlib.suppress(OSError):
                process.kill()
            process.wait(20)
        for link in self.links.values():
            link.close()
        self.server.close()
        super().close()


def kill(pid: int, which: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


def during(seconds: float, act: Callable[[], object] | None = None) -> None:
    """How long a fault lasts."""
    if act is not None:
        act()
    time.sleep(seconds)
