"""Every container of a manifest as a plain process: its command, its settings and its files, on real servers.

Paths of the container stand below a directory of the test. PostgreSQL has the roles of `deploy/postgresql/roles.sql`, and the
Temporal server is behind mutual TLS, as in the overlay.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.kit.waiting import eventually_async

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
        # What a cluster gives and one machine cannot: addresses of its services, and ports of each pod's own.
        settings |= {"CART_TEMPORAL_ADDRESS": self.temporal, "CART_TEMPORAL_SERVER_NAME": "localhost"}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CART_")}
        return clean | {"TMPDIR": str(self.volumes() / "scratch"), "PYTHONDONTWRITEBYTECODE": "1"} | settings | given

    def written(self) -> dict[str, int]:
        """Files outside the writable volumes, with the time of their last change."""
        return {
            str(path.relative_to(self.root)): path.stat().st_mtime_ns
            for path in self.root.rglob("*")
            if path.is_file() and not WRITABLE & set(path.relative_to(self.root).parts)
        }


def command(container: Object) -> list[str]:
    """The image's entry point with the container's arguments."""
    return [str(Path(sys.executable).with_name("cart-encounter")), *container["args"]]


def container_of(name: str) -> Object:
    return next(container for _, container in workloads(rendered(WHOLE)) if container["name"] == name)


@contextmanager
def running(node: Node, container: Object, **given: str) -> Iterator[subprocess.Popen[bytes]]:
    home = node.place(container)
    with (node.root / f"{container['name']}.log").open("wb") as log:
        process = subprocess.Popen(
            command(container), cwd=home, env=node.environment(container, home, **given), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(40) == 0


async def test_every_container_of_the_production_overlay_does_its_work(
    server: str, postgres: str, tmp_path: Path
) -> None:
    await answering(server)
    name = f"pods_{uuid.uuid4().hex[:8]}"
    make_roles(postgres, name)
    node = Node(tmp_path, postgres_url(postgres, name), "")
    node.fill()
    done = set()
    async with behind_tls(server, node.volumes() / "temporal-tls") as address:
        node.temporal = address
        for container in (container_of("migrate"), container_of("temporal")):
            home = node.place(container)
            before = node.written()
            # The relay to the Temporal server runs in this event loop.
            ended = await eventually_async(job(node, container, home).poll_result, f"{container['name']} ends")
            assert ended.code == 0, ended.output
            assert node.written() == before
            done.add(container["name"])
        http, metrics = free_port(), free_port()
        with (
            running(node, container_of("worker"), CART_METRICS_PORT=str(metrics)) as worker,
            running(node, container_of("gateway"), CART_HTTP_PORT=str(http)) as gateway,
        ):
            before = node.written()
            for container, process, port in (
                (container_of("worker"), worker, metrics),
                (container_of("gateway"), gateway, http),
            ):
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    url = f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}"
                    await eventually_async(lambda u=url, p=process: answers(u, p, node), f"{container['name']}: {url}")
                done.add(container["name"])
            assert {path: at for path, at in node.written().items() if not path.endswith(".log")} == {
                path: at for path, at in before.items() if not path.endswith(".log")
            }
    assert done == {container["name"] for _, container in workloads(rendered(WHOLE))}


async def answers(url: str, process: subprocess.Popen[bytes], node: Node) -> bool:
    assert process.poll() is None, "".join(log.read_text() for log in node.root.glob("*.log"))
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


@dataclass
class Ended:
    code: int
    output: str


@dataclass
class Job:
    process: subprocess.Popen[bytes]
    log: Path

    def poll_result(self) -> Ended | None:
        code = self.process.poll()
        return None if code is None else Ended(code, self.log.read_text())


def job(node: Node, container: Object, home: Path) -> Job:
    log = node.volumes() / "scratch" / f"{container['name']}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(container), cwd=home, env=node.environment(container, home), stdout=output, stderr=output
        )
    return Job(process, log)
