"""Requests as no client library sends them, over a real socket: none is read as two, none is read past its refusal."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest
from sqlmodel import select

from store.tables import Inbox
from tests.kit import events as e
from tests.kit.gateway import TOKEN, Gateway
from tests.kit.sockets import listening

EVENT = json.dumps(e.referral()).encode()
AUTHORIZED = f"Authorization: Bearer {TOKEN}"


def ask(url: str, head: list[str], body: bytes = b"") -> bytes:
    """Send the bytes and read until the server closes or falls silent."""
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=3) as line:
        line.sendall("\r\n".join([*head, "Host: gateway", "", ""]).encode("latin-1") + body)
        answer = b""
        try:
            while more := line.recv(65536):
                answer += more
        except TimeoutError:
            pass
    return answer


SMUGGLED = b"0\r\n\r\nGET /v1/encounters HTTP/1.1\r\nHost: gateway\r\n" + AUTHORIZED.encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 500"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length: +5"],
        ["Content-Length: -1"],
        ["Content-Length: 0x5"],
    ],
)
async def test_two_lengths_are_no_length(gateway: Gateway, head: list[str]) -> None:
    with listening(gateway.api) as url:
        answer = ask(url, ["POST /v1/events HTTP/1.1", *head, "Connection: close"], SMUGGLED)
    assert answer.count(b"HTTP/1.1 200") == 0, answer
    assert b"encounters" not in answer
    with gateway.db.read() as session:
        assert session.exec(select(Inbox)).all() == []


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(gateway: Gateway) -> None:
    head = ["POST /v1/events HTTP/1.1", AUTHORIZED, "Content-Length: 99999999999", "Connection: close"]
    with listening(gateway.api) as url:
        assert ask(url, head).startswith(b"HTTP/1.1 413")
        sent = [*head[:2], f"Content-Length: {len(EVENT)}", "Connection: close"]
        assert ask(url, sent, EVENT).startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize(
    "target", ["/v1/../metrics", "//v1/encounters", "/v1/encounters/..%2f..%2fetc", "http://evil/v1/encounters", "*"]
)
async def test_odd_targets_open_no_door(gateway: Gateway, target: str) -> None:
    with listening(gateway.api) as url:
        answer = ask(url, [f"GET {target} HTTP/1.1", "Connection: close"])
    assert answer.split(b" ")[1][:1] == b"4", answer
