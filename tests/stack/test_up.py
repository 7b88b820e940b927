"""`up` as its operator meets it: ready line, clean stop, one clear line when it cannot start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.process.codec import codec_path
from app.process.installation import install
from app.process.supervisor import StackOptions, _children
from app.settings import Settings
from store.keys import read_keyring
from tests.kit.users import as_user
from tests.kit.waiting import eventually
from tests.stack.harness import Stack


def up(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ports = [f"--{name}-port=0" for name in ("http", "mllp", "temporal", "ui", "metrics")]
    command = [sys.executable, "-m", "app.cli.main", "up", "--data-dir", str(data_dir), *ports, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_part_serves_when_the_ready_line_appears(stack: Stack) -> None:
    assert httpx.get(stack.ready["http"] + "/healthz").status_code == 200
    assert httpx.get(stack.ready["http"] + "/readyz").status_code == 200
    assert httpx.get(stack.ready["ui"]).status_code == 200
    assert "cart_store_up 1.0" in httpx.get(stack.ready["metrics"]).text
    assert "temporal_" in httpx.get(stack.ready["metrics"]).text
    assert stack.get("/v1/encounters")["encounters"] is not None


def test_the_secrets_are_readable_by_their_owner_alone(stack: Stack) -> None:
    for name in ("token", "keys.json"):
        assert (stack.data_dir / name).stat().st_mode & 0o077 == 0


def test_no_secret_is_in_a_command_line_and_the_ui_knows_where_to_decode(stack: Stack) -> None:
    """Every user of the machine can read command lines. The environment of a process is its owner's only."""
    secrets = [stack.token, codec_path(read_keyring(stack.data_dir / "keys.json"))]
    processes = stack.pids(".")
    assert len(processes) == 4
    for pid in processes:
        shown = Path(f"/proc/{pid}/cmdline").read_text()
        assert shown
        assert not any(secret in shown for secret in secrets)
        assert Path(f"/proc/{pid}/environ").stat().st_mode & 0o077 == 0
    assert (stack.data_dir / "temporal-presets.yaml").stat().st_mode & 0o077 == 0
    settings = httpx.get(stack.ready["ui"] + "/api/v1/settings").json()
    assert settings["Codec"]["Endpoint"] == stack.ready["http"] + secrets[1]


def test_only_the_user_who_started_the_stack_decodes_by_the_path_that_the_ui_shows(stack: Stack) -> None:
    endpoint = httpx.get(stack.ready["ui"] + "/api/v1/settings").json()["Codec"]["Endpoint"]
    body, headers = '{"payloads": []}', {"origin": stack.ready["ui"]}
    assert httpx.post(f"{endpoint}/decode", content=body, headers=headers).status_code == 200
    if os.geteuid() != 0:
        pytest.skip("only root can open a connection as another user")
    with as_user(65534):
        assert httpx.post(f"{endpoint}/decode", content=body, headers=headers).status_code == 403


def test_it_stops_cleanly_in_under_ten_seconds_and_starts_again_on_its_data(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "data")
    running = Stack(tmp_path / "data").start()
    assert running.token == (stopped / "token").read_text().strip()
    assert running.stop() == 0


def test_a_killed_worker_or_gateway_is_started_again(own_stack: Stack) -> None:
    for name in ("worker", "gateway"):
        before = own_stack.pids(f"app.cli.main {name}")
        assert len(before) == 1
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda n=name, b=before: (p := own_stack.pids(f"app.cli.main {n}")) and p != b, f"a new {name}")
    eventually(lambda: reachable(own_stack.ready["http"] + "/readyz"), "the gateway is ready again")


def test_a_frozen_worker_and_a_frozen_gateway_are_killed_and_started_again(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data")
    stack.environment["CART_FROZEN_SECONDS"] = "5"
    stack.start()
    try:
        before = {name: stack.pids(f"app.cli.main {name}") for name in ("worker", "gateway")}
        eventually(lambda: reachable(stack.ready["metrics"].replace("/metrics", "/livez")), "the worker is live")
        for (pid,) in before.values():
            os.kill(pid, signal.SIGSTOP)
        for name, old in before.items():
            eventually(lambda n=name, b=old: (p := stack.pids(f"app.cli.main {n}")) and p != b, f"a new {name}", 60)
        eventually(lambda: reachable(stack.ready["http"] + "/readyz"), "the gateway is ready again")
        assert "child.killed" in (stack.data_dir / "logs" / "gateway.log").read_text()
    finally:
        assert stack.stop() == 0


def reachable(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = up(tmp_path / "data", f"--http-port={taken.getsockname()[1]}")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "--http-port" in ended.stderr


def test_a_missing_server_binary_is_named(tmp_path: Path) -> None:
    lonely = tmp_path / "bin"
    lonely.mkdir()
    (lonely / "python").symlink_to(sys.executable)
    ports = [f"--{name}-port=0" for name in ("http", "mllp", "temporal", "ui", "metrics")]
    ended = subprocess.run(
        [str(lonely / "python"), "-m", "app.cli.main", "up", "--data-dir", str(tmp_path / "data"), *ports],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": str(lonely), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ended.returncode == 2
    assert "temporal" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_directory_of_the_same_name_where_it_is_started_is_not_taken_for_the_program(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('another program')")
    settings = Settings(data_dir=tmp_path)
    install(settings)
    for child in _children(StackOptions(tmp_path), settings)[1:]:
        shown = subprocess.run([*child.command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
        assert child.name in shown.stdout


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a stack that ran once and was stopped."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    running = Stack(data).start()
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < 10
    assert running.pids(".") == []
    return data


@pytest.mark.parametrize("damage", ["half written", "no keys", "broken keys", "no token", "broken database"])
def test_a_damaged_data_directory_is_refused_in_one_line(stopped: Path, tmp_path: Path, damage: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    match damage:
        case "half written":
            (data / "installation.json").unlink()
        case "no keys":
            (data / "keys.json").unlink()
        case "broken keys":
            (data / "keys.json").write_text('{"data_keys": ["')
        case "no token":
            (data / "token").write_text("")
        case "broken database":
            for name in data.glob("encounters.db*"):
                name.unlink()
            (data / "encounters.db").write_bytes(b"not a database" * 1000)
    ended = up(data)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_two_stacks_do_not_share_a_data_directory(own_stack: Stack) -> None:
    ended = up(own_stack.data_dir)
    assert ended.returncode == 2
    assert "in use" in ended.stderr


def test_a_site_file_at_fault_is_named_with_its_field(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('name = "x"\n')
    ended = up(tmp_path / "data", "--site", str(site))
    assert ended.returncode == 2
    assert "submitter_id" in ended.stderr
    assert ended.stderr.count("\n") == 1
