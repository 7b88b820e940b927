"""A gateway from its settings: safe by default, one line for every mistake."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.api.access import digest
from app.cli.main import cli
from app.process.connect import open_home
from app.process.installation import install
from app.process.serving import GatewaySettings, access_of, build_gateway, is_loopback, mapping_of
from app.settings import CannotStart
from intake.hl7.framing import END, RETURN, START
from tests.kit.files import DEPLOY
from tests.kit.mllp import recorded

CALLERS = f"[[callers]]\nname = 'a'\nroles = ['feed']\ntoken_sha256 = '{digest('t')}'\n"


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    made = GatewaySettings(data_dir=tmp_path)
    install(made)
    return made


def test_the_default_serves_this_machine_and_its_token(settings: GatewaySettings) -> None:
    access = access_of(settings).current()
    assert not access.configured
    assert access.actor(settings.token_file.read_text().strip()) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "gateway.example"])
def test_other_machines_are_not_served_without_an_access_file(
    settings: GatewaySettings, host: str, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match="CART_ACCESS_FILE"):
        access_of(settings.model_copy(update={"http_host": host}))
    (tmp_path / "access.toml").write_text(CALLERS)
    named = settings.model_copy(update={"http_host": host, "access_file": tmp_path / "access.toml"})
    assert access_of(named).current().configured


def test_hosts_of_this_machine() -> None:
    assert [host for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "x") if is_loopback(host)] == [
        "127.0.0.1",
        "::1",
        "localhost",
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mapping_file": Path("/nowhere/x.toml")}, "mapping file"),
        ({"access_file": Path("/nowhere/x.toml")}, "x.toml"),
        ({"mllp_port": 1, "mllp_host": "0.0.0.0"}, "CART_MLLP_CERTIFICATE"),
        ({"mllp_port": 1, "mllp_key": Path("x")}, "all of"),
    ],
)
def test_every_mistake_is_one_line(settings: GatewaySettings, change: dict[str, object], named: str) -> None:
    home = open_home(settings)
    with pytest.raises(CannotStart, match=named) as raised:
        build_gateway(settings.model_copy(update=change), home)
    assert "\n" not in str(raised.value)
    home.db.close()


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ('facilities = ["st_mary"]', "feeds st-mary-registration: facilities"),
        ('record_facility = "st_mary"          #', "feeds st-mary-scheduling: record_facility"),
        ('facility = "st_mary"\nsetting = "inpatient"', "locations 8W: facility"),
    ],
)
def test_a_mapping_of_a_facility_that_the_site_does_not_have_is_no_mapping(
    settings: GatewaySettings, tmp_path: Path, written: str, place: str
) -> None:
    text = (DEPLOY / "hl7.example.toml").read_text()
    assert text.count(written) == 1
    mapping, messages = tmp_path / "hl7.toml", tmp_path / "messages.hl7"
    mapping.write_text(text.replace(written, written.replace('"st_mary"', '"st_mray"')))
    messages.write_bytes(recorded("story")[0])
    home = open_home(settings)
    with pytest.raises(CannotStart, match=f"{place}: st_mray"):
        build_gateway(settings.model_copy(update={"mapping_file": mapping}), home)
    home.db.close()
    command = ["hl7", "check", str(mapping), str(messages), "--site", str(DEPLOY / "site.example.toml")]
    checked = CliRunner().invoke(cli, command)
    assert (checked.exit_code, f"{place}: st_mray" in checked.output) == (1, True)
    mapping.write_text(text)
    checked = CliRunner().invoke(cli, command)
    assert (checked.exit_code, "cart.appointment.booked" in checked.output) == (0, True)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"PID|1||x\r"])
def test_the_checker_says_that_a_file_has_no_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "messages.hl7").write_bytes(content)
    command = ["hl7", "check", str(DEPLOY / "hl7.example.toml"), str(tmp_path / "messages.hl7")]
    checked = CliRunner().invoke(cli, command)
    assert (checked.exit_code, "no HL7 message found" in checked.output) == (2, True)


def test_the_packaged_mapping_fits() -> None:
    assert mapping_of(GatewaySettings()).longest_silences


async def test_a_built_gateway_takes_hl7_in_beside_http(settings: GatewaySettings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = open_home(settings)
    home.db.migrate()
    api = build_gateway(settings.model_copy(update={"mllp_port": port, "temporal_address": "127.0.0.1:1"}), home)
    async with api.router.lifespan_context(api):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(START + recorded("story")[0] + END + RETURN)
        async with asyncio.timeout(60):
            answer = await reader.readuntil(END + RETURN)
        writer.close()
    assert b"MSA|AA|1001" in answer
    home.db.close()
