"""Temporal Cloud as it is met: an API key that is rotated, and a server whose setup calls are refused. Observed on the wire."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.process import api_key
from app.process.connect import connect_temporal
from app.process.deployment import deploy_app
from app.process.temporal_setup import CLOUD_LIMITS, commands, register, type_name
from app.settings import Settings
from store.keys import create_keyring, read_keyring
from tests.kit import certificates
from tests.kit.programs import connected
from tests.kit.waiting import eventually_async
from workflows.search_attributes import REGISTRY

PROXY = Path(__file__).parents[2] / "kit" / "grpc_proxy.mjs"
UNIMPLEMENTED, PERMISSION_DENIED = 12, 7
SETUP = ("RegisterNamespace", "operatorservice")


class Front:
    """A TLS front of the server, which shows each call with its authorization."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.calls: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self.reader.start()
        self.address = f"127.0.0.1:{self.lines.get(timeout=30)['port']}"

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.put(json.loads(line))

    def keys(self) -> list[str]:
        """The authorization of every call so far."""
        while not self.lines.empty():
            self.calls.append(self.lines.get())
        return [str(one["authorization"]) for one in self.calls]


@contextlib.contextmanager
def fronted(server: str, directory: Path, refused: dict[str, int] | None = None) -> Iterator[Front]:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is not installed on this CI machine")
        pytest.skip("node is not installed")
    certificates.make(directory)
    command = [node, PROXY, server.split(":")[1], directory / "server.pem", directory / "server.key"]
    command += [f"{part}={status}" for part, status in (refused or {}).items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Front(process)
        finally:
            process.kill()


def settings_of(front: Front, directory: Path) -> Settings:
    (directory / "key").write_text("first-key\n")
    return Settings(
        data_dir=directory,
        temporal_address=front.address,
        temporal_namespace="cart",
        temporal_ca_file=directory / "ca.pem",
        temporal_server_name="localhost",
        temporal_api_key_file=directory / "key",
    )


def environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name in ("address", "namespace", "ca_file", "server_name", "api_key_file"):
        monkeypatch.setenv(f"CART_TEMPORAL_{name.upper()}", str(getattr(settings, f"temporal_{name}")))


async def test_a_rotated_key_is_used_without_a_restart(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_key, "LOOK_SECONDS", 0.05)
    await register(await connected(server), "cart")
    create_keyring(tmp_path / "keys.json")
    with fronted(server, tmp_path) as front:
        settings = settings_of(front, tmp_path)
        client = await connect_temporal(settings, read_keyring(settings.key_file))
        await client.count_workflows()
        assert set(front.keys()) == {"Bearer first-key"}
        (tmp_path / "key").unlink()  # as a mounted secret is, while it is replaced
        (tmp_path / "key").write_text("second-key\n")

        async def used() -> bool:
            await client.count_workflows()
            return front.keys()[-1] == "Bearer second-key"

        await eventually_async(used, "the second key is sent")


def test_a_server_that_refuses_the_setup_gets_the_commands_printed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {SETUP[0]: PERMISSION_DENIED, SETUP[1]: UNIMPLEMENTED, "DescribeNamespace": PERMISSION_DENIED}
    with fronted(server, tmp_path, refused) as front:
        environment(monkeypatch, settings_of(front, tmp_path))
        shown = CliRunner().invoke(deploy_app, ["temporal"])
    assert shown.exit_code == 3, shown.output
    for name, kind in REGISTRY.items():
        assert f"--search-attribute {name}={type_name(kind)}" in shown.stdout
    assert "tcloud namespace create --namespace cart" in shown.stdout
    assert "run the commands that fit" in shown.stderr


async def test_what_exists_already_is_found_without_the_calls_that_are_refused(server: str, tmp_path: Path) -> None:
    await register(await connected(server), "cart")
    create_keyring(tmp_path / "keys.json")
    with fronted(server, tmp_path, {SETUP[0]: PERMISSION_DENIED, SETUP[1]: UNIMPLEMENTED}) as front:
        settings = settings_of(front, tmp_path)
        client = await connect_temporal(settings, read_keyring(settings.key_file))
        assert await register(client, "cart") == []


def test_the_commands_are_printed_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CART_TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("CART_TEMPORAL_NAMESPACE", "cart.a1b2c")
    shown = CliRunner().invoke(deploy_app, ["temporal", "--print"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == commands("cart.a1b2c")
    assert "--namespace cart --region" in shown.stdout


def test_the_search_attributes_fit_a_namespace_of_temporal_cloud() -> None:
    kinds = [type_name(kind) for kind in REGISTRY.values()]
    assert all(kinds.count(kind) <= CLOUD_LIMITS[kind] for kind in kinds)
