"""Every container of a manifest as a plain process: its command, its settings and its files, on real servers.

Paths of the container stand below a directory of the test. PostgreSQL has the roles of `deploy/postgresql/roles.sql`, and the
Temporal server is behind mutual TLS, as in the overlay.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.metrics import free_port
from store.keys import create_keyring
from tests.app.process.test_temporal_access import answering, behind_tls
from tests.kit import certificates
from tests.kit.files import DEPLOY, SITE_FILE
from tests.kit.manifests import WHOLE, Object, named, rendered, workloads
from tests.kit.postgres import as_role, make_roles, postgres_url
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.postgres]
WRITABLE = {"exchange", "scratch"}
ROLES = {"cart-database": "cart_app", "cart-database-owner": "cart_owner"}


@dataclass
class Node:
    """A directory with every volume of the pods, and the addresses of the servers."""

    root: Path
    database: str
    temporal: str

    def volumes(self) -> Path:
        return self.root / "volumes"

    def fill(self) -> None:
        """Makes what the README says to make, and what the cluster makes of it."""
        volumes = self.volumes()
        for name in ("keys", "access", "alerts", "site", "temporal-tls", "postgresql-tls", "exchange", "scratch"):
            (volumes / name).mkdir(parents=True)
        for box in ("outbox", "inbox"):
            (volumes / "exchange" / box).mkdir()
        create_keyring(volumes / "keys" / "keys.json")
        (volumes / "keys" / "token").write_text("a token that no gateway with an access file takes\n")
        shutil.copy(DEPLOY / "access.example.toml", volumes / "access" / "access.toml")
        shutil.copy(DEPLOY / "alerts.example.toml", volumes / "alerts" / "alerts.toml")
        shutil.copy(SITE_FILE, volumes / "site" / "site.toml")
        certificates.make(volumes / "temporal-tls")
        for made, name in (("ca.pem", "ca.crt"), ("client.pem", "tls.crt"), ("client.key", "tls.key")):
            shutil.copy(volumes / "temporal-tls" / made, volumes / "temporal-tls" / name)

    def place(self, container: Object) -> Path:
        """The container's own file system: its mounts, and nothing else."""
        home = self.root / container["name"]
        (home / "var/lib/cart").mkdir(parents=True)
        for mount in container.get("volumeMounts", ()):
            source = self.volumes() / mount["name"] / mount.get("subPath", "")
            if source.exists():  # an optional volume may be missing
                target = home / mount["mountPath"].lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)
        return home

    def environment(self, container: Object, home: Path, **given: str) -> dict[str, str]:
        maps = [one["configMapRef"] for one in container["envFrom"] if not one["configMapRef"].get("optional")]
        settings = {
            key: value
            for one in maps
            for key, value in named(rendered(WHOLE), "ConfigMap", one["name"])["data"].items()
        }
        for one in container.get("env", ()):
            if "value" in one:
                settings[one["name"]] = one["value"]
            else:
                settings[one["name"]] = as_role(self.database, ROLES[one["valueFrom"]["secretKeyRef"]["name"]])
        settings = {key: f"{home}{value}" if value.startswith("/") else value for key, value in settings.items()}
        # What a cluster gives and one machine cannot: addresses of its services, and ports for each pod.
        settings |= {"CART_TEMPORAL_ADDRESS": self.temporal}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CART_")}
        return clean | {"TMPDIR": str(self.volumes() / "scratch"), "PYTHONDONTWRITEBYTECODE": "1"} | settings | given

    def log(self, container: Object) -> Path:
        return self.volumes() / "scratch" / f"{container['name']}.log"

    def written(self) -> dict[str, int]:
        """Files outside the writable volumes, with the time of their last change."""
        return {
            str(path.relative_to(self.root)): path.stat().st_mtime_ns
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_symlink() and not WRITABLE & set(path.relative_to(self.root).parts)
        }


def command(container: Object) -> list[str]:
    """The image's entry point with the container's arguments."""
    return [str(Path(sys.executable).with_name("cart-encounter")), *container["args"]]


def container_of(name: str) -> Object:
    return next(container for _, container in workloads(rendered(WHOLE)) if container["name"] == name)


@contextmanager
def started(node: Node, container: Object, **given: str) -> Iterator[subprocess.Popen[bytes]]:
    """The container's process, ended by the cluster's signal if it did not end before."""
    home = node.place(container)
    with node.log(container).open("wb") as log:
        process = subprocess.Popen(
            command(container), cwd=home, env=node.environment(container, home, **given), stdout=log, stderr=log
        )
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


@contextmanager
def relay(server: str, directory: Path) -> Iterator[str]:
    """The Temporal server behind mutual TLS, in a thread of its own."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[str] = []

    async def serve() -> None:
        await answering(server)
        async with behind_tls(server, directory) as address:
            found.append(address)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(60), "the server answers"
    yield found[0].replace("127.0.0.1", "localhost")
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def test_every_container_of_the_production_overlay_does_its_work(server: str, postgres: str, tmp_path: Path) -> None:
    name = f"pods_{uuid.uuid4().hex[:8]}"
    make_roles(postgres, name)
    node = Node(tmp_path, postgres_url(postgres, name), "")
    node.fill()
    before = node.written()
    done = []
    with relay(server, node.volumes() / "temporal-tls") as node.temporal:
        for container in (container_of("migrate"), container_of("temporal")):
            with started(node, container) as process:
                assert process.wait(120) == 0, node.log(container).read_text()
            done.append(container["name"])
        ports = {"worker": ("CART_METRICS_PORT", free_port()), "gateway": ("CART_HTTP_PORT", free_port())}
        with ExitStack() as running:
            processes = {}
            for each, (setting, port) in ports.items():
                processes[each] = running.enter_context(started(node, container_of(each), **{setting: str(port)}))
            for each, (_, port) in ports.items():
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    url = f"http://127.0.0.1:{port}{container_of(each)[probe]['httpGet']['path']}"
                    eventually(
                        lambda u=url, e=each: answers(u, processes[e], node.log(container_of(e))), f"{each}: {url}", 90
                    )
                done.append(each)
        # The HTTP server ends by the signal itself after it closed its connections.
        assert all(process.returncode in (0, -signal.SIGTERM) for process in processes.values())
    assert node.written() == before
    assert sorted(done) == sorted(container["name"] for _, container in workloads(rendered(WHOLE)))


def answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
