"""An operator gets one line for an error that an operator can fix: no trace, and no secret value."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.main import main
from app.metrics import free_port
from app.process.operator_errors import in_one_line
from app.process.supervisor import served_database
from app.settings import Settings


def run(tmp_path: Path, *words: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    if cwd:
        cwd.mkdir(exist_ok=True)
    answer = subprocess.run(
        [sys.executable, "-m", "app.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "CART_DATA_DIR": str(tmp_path), **environment},
    )
    return answer.returncode, answer.stderr


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (("worker",), {}, "deploy keys"),
        (("gateway",), {}, "deploy keys"),
        (("worker",), {"CART_EDITION": "newest"}, "CART_EDITION"),
        (("gateway",), {"CART_TEMPORAL_CA_FILE": "/nowhere"}, "CART_TEMPORAL_CA_FILE"),
        (("gateway",), {"CART_UI_ORIGINS": "https://temporal.example.internal"}, "CART_UI_ORIGINS"),
        (("alerts", "list"), {}, "CART_URL"),
        (("up", "--rules", "/nowhere"), {}, "no rows of"),
        (("up",), {"CART_TEMPORAL_NAMESPACE": "cart"}, "CART_TEMPORAL_NAMESPACE"),
        (("up", "--site", "/nowhere.toml"), {}, "CART_SITE_FILE"),
        (("deploy", "temporal"), {"CART_TEMPORAL_ADDRESS": "127.0.0.1:PORT"}, "CART_TEMPORAL_ADDRESS"),
        (
            ("deploy", "migrate"),
            {"CART_DATABASE_URL": "postgresql+psycopg://cart:hush@127.0.0.1:PORT/cart"},
            "CART_DATABASE_URL",
        ),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    port = str(free_port())
    code, output = run(tmp_path, *words, **{name: value.replace("PORT", port) for name, value in environment.items()})
    assert code == (1 if words[0] == "alerts" else 2)
    assert output.count("\n") == 1
    assert message in output
    assert "hush" not in output


def test_an_installation_is_found_by_its_environment_and_a_taken_port_is_named(tmp_path: Path) -> None:
    assert run(tmp_path, "deploy", "keys", cwd=tmp_path / "elsewhere")[0] == 0
    made = (tmp_path / "keys.json").read_bytes()
    assert not (tmp_path / "elsewhere" / "data").exists(), "a second key file was made"
    assert run(tmp_path, "deploy", "codec", cwd=tmp_path / "elsewhere") == (0, "")
    assert run(tmp_path, "deploy", "migrate")[0] == 0
    assert run(tmp_path, "verify", cwd=tmp_path / "elsewhere") == (0, "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, output = run(tmp_path, "gateway", CART_HTTP_PORT=str(taken.getsockname()[1]))
    (message,) = (line for line in output.splitlines() if not line.startswith("{"))
    assert (code, "CART_HTTP_PORT" in message) == (2, True), "one line beside those of the log"
    assert (tmp_path / "keys.json").read_bytes() == made


def test_a_fault_of_the_program_is_not_hidden() -> None:
    assert in_one_line(AssertionError("a fault")) is None
    assert in_one_line(RuntimeError("a fault")) is None


@pytest.mark.parametrize("process", ["worker", "gateway"])
def test_a_site_file_that_is_not_there_names_its_setting(tmp_path: Path, process: str) -> None:
    assert run(tmp_path, "deploy", "keys")[0] == 0
    code, output = run(tmp_path, process, CART_SITE_FILE="/nowhere.toml", CART_HTTP_PORT="0")
    assert (code, output.count("\n")) == (2, 1)
    assert "CART_SITE_FILE" in output
    assert "/nowhere.toml" in output


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", ""),
        ("postgresql+psycopg://cart:hush@db:5432/cart?sslmode=require", " database=postgresql://db:5432/cart"),
        ("postgresql+psycopg://cart@/cart?host=/run/hush", " database=postgresql:///cart"),
    ],
)
def test_the_ready_line_names_a_database_of_ones_own_without_its_secrets(url: str, message: str) -> None:
    assert served_database(Settings(database_url=url)) == message


@pytest.mark.parametrize("words", [("site",), ("verify", "--export"), ("preflight",), ("feed",)])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 20_000])
def test_a_file_of_another_kind_is_said_without_a_trace(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    content: bytes,
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["cart-encounter", *words, str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    assert "Traceback" not in capsys.readouterr().err
