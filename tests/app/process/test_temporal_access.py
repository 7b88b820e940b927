"""The way to a Temporal server that is not on this machine: mutual TLS and API keys, and one line where it is misdescribed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from app.process.connect import connect_temporal, temporal_access
from app.settings import CannotStart, Settings
from store.keys import create_keyring, read_keyring
from tests.kit import certificates
from tests.kit.waiting import eventually_async


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def behind_tls(server: str, certificates: Path) -> AsyncIterator[str]:
    """The server, reachable only by those who show a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    host, port = server.split(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


async def answering(server: str) -> None:
    async def connected() -> Client | None:
        with contextlib.suppress(RuntimeError):
            return await Client.connect(server)
        return None

    await eventually_async(connected, "the server answers")


async def test_a_server_behind_mutual_tls_is_reached_by_those_with_a_certificate_alone(
    server: str, tmp_path: Path
) -> None:
    await answering(server)
    certificates.make(tmp_path)
    create_keyring(tmp_path / "keys.json")
    keys = read_keyring(tmp_path / "keys.json")
    async with behind_tls(server, tmp_path) as address:
        named = Settings(
            temporal_address=address,
            temporal_ca_file=tmp_path / "ca.pem",
            temporal_server_name="localhost",
            temporal_cert_file=tmp_path / "client.pem",
            temporal_cert_key_file=tmp_path / "client.key",
        )
        client = await connect_temporal(named, keys)
        assert await client.service_client.check_health()
        with pytest.raises(RuntimeError):
            await connect_temporal(
                named.model_copy(update={"temporal_cert_file": None, "temporal_cert_key_file": None}), keys
            )
        with pytest.raises(RuntimeError):
            await connect_temporal(Settings(temporal_address=address), keys)


def test_an_api_key_is_read_from_its_file_and_never_sent_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    access = temporal_access(Settings(temporal_api_key_file=tmp_path / "key"))
    assert access["api_key"] == "secret"
    assert access["tls"]


def test_without_any_of_it_the_connection_is_plain() -> None:
    assert temporal_access(Settings()) == {"namespace": "default", "tls": False, "api_key": None}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"temporal_cert_file": "client.pem"}, "CART_TEMPORAL_CERT_KEY_FILE"),
        ({"temporal_cert_key_file": "client.key"}, "CART_TEMPORAL_CERT_FILE"),
        ({"temporal_ca_file": "nowhere.pem"}, "CART_TEMPORAL_CA_FILE: .*No such file"),
        ({"temporal_api_key_file": "empty"}, "CART_TEMPORAL_API_KEY_FILE: .* is empty"),
    ],
)
def test_half_a_description_is_refused_by_name(tmp_path: Path, named: dict[str, str], message: str) -> None:
    (tmp_path / "empty").write_text(" \n")
    settings = Settings().model_copy(update={key: tmp_path / name for key, name in named.items()})
    with pytest.raises(CannotStart, match=message):
        temporal_access(settings)
