"""Signing in to a real authorization server, npm `oidc-provider`: it checks the signed statement by its own code."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import httpx
import pytest

from intake.fhir.authorization import NotAuthorized, Tokens
from intake.site_mapping import parse_mapping
from tests.kit.fhir_server import CLIENT, key_files, rsa
from tests.kit.files import DEPLOY
from tests.kit.node import node_modules

SERVER = Path(__file__).parents[2] / "kit" / "authorization_server.mjs"


async def test_a_real_authorization_server_gives_a_token_for_our_statement(tmp_path: Path) -> None:
    file, public = key_files(tmp_path / "keys.json", rsa("unknown"), rsa("known"))
    public["keys"] = [key for key in public["keys"] if key["kid"] == "known"]
    (tmp_path / "public.json").write_text(json.dumps(public))
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SERVER),
        str(tmp_path / "public.json"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"CART_TEST_NODE_MODULES": str(node_modules("oidc-provider"))},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            issuer = (await process.stdout.readline()).decode().strip()
        packaged = parse_mapping((DEPLOY / "hl7.example.toml").read_text()).fhir_feeds[0]
        feed = packaged.model_copy(
            update={"ask_at": issuer, "client_id": CLIENT, "key_file": file, "token_url": f"{issuer}/token"}
        )
        async with httpx.AsyncClient() as client:
            tokens = Tokens()
            header = await tokens.header(client, feed)
            assert header["Authorization"].startswith("Bearer ")
            assert await tokens.header(client, feed) == header
            key_files(tmp_path / "keys.json", rsa("known"))  # of the same name, and not the same
            tokens.drop(feed)
            with pytest.raises(NotAuthorized, match="401"):
                await tokens.header(client, feed)
    finally:
        process.terminate()
        await process.wait()
