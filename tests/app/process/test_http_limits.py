"""A gateway behind a real socket ends what does not end by itself, and goes on answering others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from app.api.guard import Guard
from app.process.http_limits import ENDED, ConnectionLimits
from tests.kit.gateway import TOKEN, Gateway
from tests.kit.sockets import listening
from tests.kit.waiting import eventually

QUICK = ConnectionLimits(
    total=16,
    per_address=12,
    header_seconds=0.4,
    body_seconds=0.4,
    body_rate=4096,
    stall_seconds=0.3,
    response_seconds=0.4,
)
POST = (
    f"POST /v1/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
)


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    with listening(gateway.api, QUICK) as found:
        yield found


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=5)


def rest(line: socket.socket) -> bytes:
    """What comes until the server closes; a connection that stays open fails the test by its time limit."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while more := line.recv(65536):
            answer += more
    return answer


def test_headers_that_do_not_end_are_answered_and_closed(url: str) -> None:
    with connect(url) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: gate")
        assert rest(line).startswith(b"HTTP/1.1 408")


def test_headers_that_trickle_are_given_no_more_time(url: str) -> None:
    with connect(url) as line:
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 4:
                line.sendall(b"X")
                line.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if not line.recv(1000):
                        break
        assert time.monotonic() - begun < 3


def test_a_connection_without_a_request_is_closed(url: str) -> None:
    with connect(url) as line:
        assert rest(line) == b""


@pytest.mark.parametrize("head", ["Content-Length: 50", "Transfer-Encoding: chunked"])
def test_a_body_that_stops_is_answered_and_closed(url: str, head: str) -> None:
    with connect(url) as line:
        line.sendall(f"{POST}{head}\r\n\r\n".encode())
        assert rest(line).startswith(b"HTTP/1.1 408")


def test_a_second_request_has_the_same_limits(url: str) -> None:
    with connect(url) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
        first = line.recv(65536)
        line.sendall(b"GET /hea")
        assert first.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 408" in rest(line)


def test_half_requests_of_one_address_leave_room_for_others_and_are_ended(gateway: Gateway) -> None:
    slow = ConnectionLimits(total=16, per_address=100, header_seconds=60)
    with listening(gateway.api, slow) as url, contextlib.ExitStack() as held:
        for _ in range(60):
            line = held.enter_context(connect(url))
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: gate")
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_more_connections_than_one_address_may_have_are_refused(url: str) -> None:
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(connect(url)) for _ in range(QUICK.per_address + 1)]
        assert rest(lines[-1]).startswith(b"HTTP/1.1 503")
    eventually(lambda: httpx.get(f"{url}/healthz").status_code == 200, "the places are free again", 5)


def test_a_response_that_is_not_read_is_given_up() -> None:
    api = FastAPI()

    @api.get("/much")
    async def much() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(pieces())

    before = not_read()
    with listening(api, QUICK) as url, connect(url) as line:
        line.sendall(b"GET /much HTTP/1.1\r\nHost: gateway\r\n\r\n")
        eventually(lambda: not_read() > before, "the response is given up", 5)
        assert len(rest(line)) < 50_000_000


def not_read() -> float:
    return ENDED.labels(reason="response_not_read")._value.get()


def test_a_request_that_is_worked_on_for_long_is_not_cut_off() -> None:
    api = FastAPI()

    @api.post("/slow")
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(QUICK.header_seconds * 3)
        return PlainTextResponse(str(len(await request.body())))

    with listening(api, QUICK) as url:
        assert httpx.post(f"{url}/slow", content=b"x" * 300_000).text == "300000"


async def test_bodies_of_all_requests_together_have_a_limit() -> None:
    api = FastAPI()
    api.add_middleware(Guard, all_bodies=1000)

    @api.post("/taken")
    async def taken(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://gateway") as client:
        over = await client.post("/taken", content=b"x" * 1001)
        assert (over.status_code, over.headers["Retry-After"]) == (503, "5")
        assert (await client.post("/taken", content=b"x" * 1000)).text == "1000"
