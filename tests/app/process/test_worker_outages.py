"""A worker outlives a cut of Temporal at any time: no server, one that hangs, one without the namespace, one that dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from app.metrics import free_port
from app.process.deployment import register
from store.engine import Database
from store.keys import create_keyring
from tests.kit.programs import connected
from tests.kit.waiting import eventually, eventually_async
from workflows.names import TASK_QUEUE

HOST = "127.0.0.1"


@contextlib.contextmanager
def temporal(port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert binary
    command = [binary, "server", "start-dev", "--headless", "--port", str(port), "--log-level", "error"]
    command += ["--db-filename", str(directory / "temporal.db")]
    with (directory / "temporal.log").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def hanging(port: int) -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
        listener.settimeout(60)
        yield listener


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A worker process, its metrics port and the port where its Temporal server should be."""
    create_keyring(tmp_path / "keys.json")
    db = Database(f"sqlite:///{tmp_path / 'encounters.db'}")
    db.migrate()
    db.close()
    port, metrics = free_port(), free_port()
    environment = {
        **os.environ,
        "CART_DATA_DIR": str(tmp_path),
        "CART_TEMPORAL_ADDRESS": f"{HOST}:{port}",
        "CART_TEMPORAL_NAMESPACE": "cart",
        "CART_METRICS_PORT": str(metrics),
    }
    with (tmp_path / "worker.log").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker"], stderr=output, env=environment)
    try:
        yield process, metrics, port
    finally:
        process.kill()
        process.wait(10)


def healthy(metrics: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{metrics}/healthz").status_code == 200
    except httpx.HTTPError:
        return False


async def polls(client: Client) -> bool:
    """True if a worker polls for workflow tasks. The server remembers pollers for some minutes; a new server knows none."""
    request = DescribeTaskQueueRequest(
        namespace="cart",
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    with contextlib.suppress(RPCError):
        return bool((await client.workflow_service.describe_task_queue(request)).pollers)
    return False


async def test_a_worker_outlives_its_server(worker: tuple[subprocess.Popen[bytes], int, int], tmp_path: Path) -> None:
    process, metrics, port = worker
    log = tmp_path / "worker.log"

    def states(line: str) -> bool:
        return process.poll() is None and healthy(metrics) and line in log.read_text()

    eventually(lambda: states("temporal.away"), "no server: it serves its metrics and states that it waits")
    with hanging(port) as listener:
        connection = eventually(lambda: listener.accept()[0], "it tries a server that hangs")
        connection.close()
        assert healthy(metrics)
    with temporal(port, tmp_path) as server:
        client = await connected(f"{HOST}:{port}")
        assert process.poll() is None
        assert healthy(metrics)
        await register(client, "cart")
        await eventually_async(lambda: polls(client), "the namespace exists: it works")
        server.send_signal(signal.SIGKILL)
        server.wait(10)
    assert healthy(metrics)
    for name in tmp_path.glob("temporal.db*"):
        name.unlink()
    with temporal(port, tmp_path):  # as after a loss: this server knows neither namespace nor poller
        client = await connected(f"{HOST}:{port}")
        await register(client, "cart")
        await eventually_async(lambda: polls(client), "the server is back: it works again")
        assert healthy(metrics)
    assert log.read_text().count("temporal.away") < 12, "a failure that repeats is one line"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
