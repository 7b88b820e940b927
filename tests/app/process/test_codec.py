"""The codec server decrypts payloads for the Temporal UI only."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from google.protobuf.json_format import MessageToJson, Parse
from temporalio.api.common.v1 import Payload, Payloads

from app.api.access import digest
from app.api.actors import Actor
from app.api.roles import Role
from app.process.codec import codec_path, install_codec
from app.process.payload_encryption import SealedPayloads
from tests.kit.keys import RECORDING_KEYS
from tests.kit.recorder import TOKEN, recorder
from tests.kit.sockets import listening
from tests.kit.users import as_user

UI = "http://127.0.0.1:8233"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"**Stage: apheresis**"')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    api = FastAPI()
    install_codec(api, RECORDING_KEYS, (UI,))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as client:
        yield client


async def sealed() -> str:
    return MessageToJson(Payloads(payloads=await SealedPayloads(RECORDING_KEYS).encode([PLAIN])))


PATH = codec_path(RECORDING_KEYS) + "/decode"


async def test_the_ui_reads_what_temporal_only_has_sealed(client: httpx.AsyncClient) -> None:
    body = await sealed()
    assert "apheresis" not in body
    answer = await client.post(PATH, content=body, headers={"origin": UI})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == UI
    assert Parse(answer.content, Payloads()).payloads[0] == PLAIN


async def test_its_browser_may_ask_before_it_posts(client: httpx.AsyncClient) -> None:
    asked = {"origin": UI, "access-control-request-method": "POST", "access-control-request-headers": "x-namespace"}
    assert (await client.options(PATH, headers=asked)).status_code == 200


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1:1"])
async def test_other_pages_are_refused(client: httpx.AsyncClient, origin: str | None) -> None:
    headers = {"origin": origin} if origin else {}
    assert (await client.post(PATH, content=await sealed(), headers=headers)).status_code == 403


async def test_the_path_cannot_be_guessed(client: httpx.AsyncClient) -> None:
    other = replace(RECORDING_KEYS, hash_key=b"\1" * 32)
    assert codec_path(other) != codec_path(RECORDING_KEYS)
    answer = await client.post(codec_path(other) + "/decode", content=await sealed(), headers={"origin": UI})
    assert answer.status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"payloads": [{"metadata": {"encoding": "??"}}]}'])
async def test_a_body_that_is_none_gets_an_answer(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post(PATH, content=body, headers={"origin": UI})).status_code in (200, 400)


async def test_a_ui_with_a_login_passes_its_reader_on(tmp_path: Path) -> None:
    """Every reader of timelines may look; no token, another role and another page may not."""
    async with recorder(tmp_path) as r:
        install_codec(r.api, r.service.keys, (UI,))
        actors = r.api.state.parts.access.actors
        actors[digest("token-of-a-feed")] = Actor("feed", frozenset({Role.FEED}))
        body = MessageToJson(Payloads(payloads=await SealedPayloads(r.service.keys).encode([PLAIN])))

        async def ask(token: str, origin: str = UI) -> httpx.Response:
            headers = {"origin": origin, "authorization": f"Bearer {token}"}
            return await r.http.post("/codec/decode", content=body, headers=headers)

        opened = await ask(TOKEN)
        assert Parse(opened.content, Payloads()).payloads[0] == PLAIN
        assert [(await ask("wrong")).status_code, (await ask("token-of-a-feed")).status_code] == [401, 403]
        assert (await ask(TOKEN, "http://evil.example")).status_code == 403


async def test_the_secret_path_of_the_embedded_stack_is_for_its_own_user() -> None:
    """The UI shows its settings, with the path, to every user of the machine."""
    api = FastAPI()
    install_codec(api, RECORDING_KEYS, (UI,), own_user_only=True)
    body = await sealed()
    with listening(api) as address, httpx.Client(headers={"origin": UI}) as own:
        assert own.post(address + PATH, content=body).status_code == 200
        port = own.get(address).extensions["network_stream"].get_extra_info("client_addr")[1]
        # Another user may not borrow the address of a connection of the owner.
        copied = {"x-forwarded-for": f"127.0.0.1:{port}"}
        assert own.post(address + PATH, content=body, headers=copied).status_code == 403
        if os.geteuid() != 0:
            pytest.skip("only root can open a connection as another user")
        with as_user(65534), httpx.Client(headers={"origin": UI}) as other:
            assert other.post(address + PATH, content=body).status_code == 403
            assert other.post(address + PATH, content=body, headers=copied).status_code == 403
