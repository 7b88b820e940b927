"""Container and compose file: every command, setting and file they name exists."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from app.cli.main import cli
from app.process.serving import GatewaySettings, access_of
from app.settings import Settings
from tests.kit.files import DEPLOY, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
COMMANDS = typer.main.get_command(cli)
PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+(\.\d+)+[\w.-]*$")
NAMED = re.compile(r"\bCART_[A-Z_]+\b")


def ours() -> Iterator[list[str]]:
    """Every command that is given to our image."""
    for service in COMPOSE["services"].values():
        if service["image"].startswith("cart-encounter:"):
            yield service["command"]


def test_every_command_is_one_of_the_command_line() -> None:
    for words in ours():
        command: Any = COMMANDS
        for word in words:
            if word.startswith("-"):
                break
            command = command.commands[word]
        assert not hasattr(command, "commands"), f"{words} stops before a command"


@pytest.mark.parametrize("path", [DEPLOY / "compose.yml", DEPLOY / "Dockerfile"], ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    known = {f"CART_{name.upper()}" for name in GatewaySettings.model_fields}
    assert set(NAMED.findall(path.read_text())) <= known


def test_a_gateway_that_others_can_reach_has_a_list_of_callers() -> None:
    """Without an access file it would refuse to start."""
    reached = {"http_host": "0.0.0.0"}
    image = (DEPLOY / "Dockerfile").read_text()
    assert "CART_HTTP_HOST=0.0.0.0" in image
    gateway = COMPOSE["services"]["gateway"]
    mounts = dict(reversed(mount.split(":")[:2]) for mount in gateway["volumes"])
    named = DEPLOY / mounts[gateway["environment"]["CART_ACCESS_FILE"]]
    assert access_of(GatewaySettings(access_file=named, **reached)).current().configured


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    for image in images:
        assert PINNED.match(image), image
    for base in re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE):
        assert PINNED.match(base), base


def test_our_image_carries_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"cart-encounter:(\d[\w.]*)", (DEPLOY / "compose.yml").read_text())) == {version}


def filled(value: object, **given: str) -> str:
    """A value of the compose file with its variables given, or by their defaults."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), str(value))


def test_compose_mounts_files_that_exist() -> None:
    for name, service in COMPOSE["services"].items():
        for mount in service.get("volumes", ()):
            source = filled(mount).split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_compose_opens_ports_to_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(filled(port).startswith("127.0.0.1:") for port in ports)


def test_compose_keeps_the_keys_apart_from_what_goes_out_and_comes_in() -> None:
    home = Settings(data_dir=Path("/var/lib/cart"))
    for name in ("worker", "gateway"):
        mounts = [filled(mount).split(":") for mount in COMPOSE["services"][name]["volumes"]]
        by_place = {place: (source, mode) for source, place, *mode in mounts}
        assert by_place[str(home.data_dir)] == ("keys", ["ro"])
        for box in (home.outbox, home.inbox):
            assert by_place[str(box)] == (box.name, [])
            assert f" {box}" in (DEPLOY / "Dockerfile").read_text()  # a place to mount on in a volume that is read only
    assert COMPOSE["services"]["keys"]["volumes"] == [f"keys:{home.data_dir}"]


@pytest.mark.parametrize("port", ["0", "2575"])
def test_compose_serves_mllp_only_where_a_port_is_given_and_never_without_certificates(port: str) -> None:
    gateway = COMPOSE["services"]["gateway"]
    given = {} if port == "0" else {"MLLP_PORT": port}
    settings = mllp_of({key: filled(value, **given) for key, value in gateway["environment"].items()})
    assert settings.mllp_port == int(port)
    places = [filled(mount).split(":")[1] for mount in gateway["volumes"]]
    assert all(any(str(path).startswith(place) for place in places) for path in files_of(settings))
    published = [filled(one, **given) for one in gateway["ports"]]
    assert "127.0.0.1:2575:2575" in published


def mllp_of(environment: dict[str, str]) -> GatewaySettings:
    given = {key.removeprefix("CART_").lower(): value for key, value in environment.items()}
    return GatewaySettings(**{key: value for key, value in given.items() if key.startswith(("mllp_", "mapping_"))})


def files_of(settings: GatewaySettings) -> list[Path]:
    found = [settings.mapping_file, settings.mllp_certificate, settings.mllp_key, settings.mllp_client_authority]
    assert all(found)
    return [path for path in found if path]


def test_no_secret_is_in_a_manifest() -> None:
    for line in (DEPLOY / "compose.yml").read_text().splitlines():
        found = re.search(r"(?i)^\s*\w*(password|pwd)\w*:\s*(\S+)", line)
        assert found is None or found[2].startswith("${"), line


def test_prometheus_of_compose_scrapes_services_and_ports_of_compose() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        host, port = job["static_configs"][0]["targets"][0].split(":")
        assert host == "localhost" or host in COMPOSE["services"], host
        assert port.isdigit()


def locked(path: Path) -> dict[str, set[str]]:
    """Package and version to hashes."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if match := re.match(r"^([A-Za-z0-9_.-]+==\S+)", line):
            name = match[1]
            found[name] = set()
        found.setdefault(name, set()).update(re.findall(r"sha256:[0-9a-f]{64}", line))
    return found


def test_the_runtime_lock_is_part_of_the_whole_lock_and_leaves_nothing_out() -> None:
    whole, runtime = locked(ROOT / "requirements.lock"), locked(DEPLOY / "requirements.lock")
    for name, hashes in runtime.items():
        assert hashes, name
        assert whole.get(name) == hashes, f"{name}: run make lock"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    held = {spelling(name) for name in runtime}
    assert {spelling(each) for each in wanted} <= held


def spelling(requirement: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[._-]+", "-", re.split(r"[\[><=~]", requirement)[0].strip().lower())


def test_the_image_runs_as_a_user_unknown_to_the_machine() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    user = next(line for line in reversed(lines) if line.startswith("USER"))
    assert user == "USER 10001:10001"
    assert 'ENTRYPOINT ["cart-encounter"]' in lines
