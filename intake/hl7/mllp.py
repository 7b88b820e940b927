"""MLLP: many connections, each message answered before the next is read; a broken frame is refused, not the connection.

Own framing and not the streams of `hl7`: those end the connection, or answer nothing, when a frame is malformed.

A sender that holds what others need is given up: a frame that does not end in time however slowly it comes, answers that
are not read, more connections from one address than its share, a TLS handshake that does not end. When all places are
taken, the connection that was silent longest makes room.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from intake.hl7.framing import END, RETURN, START, Frame, Framer

CHUNK = 64 * 1024
TOGETHER = 32
"""Messages worked on at once. Threads of their own: no other work waits behind senders whose messages wait for the database."""
MOST_CONNECTIONS = 200
MOST_OF_ONE_ADDRESS = 100
FRAME_SECONDS = 30.0
"""From the beginning of a frame to its end."""
ANSWER_SECONDS = 30.0
"""For a sender to read its answer."""
HANDSHAKE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """Answers messages, and bytes that are none.

    `names` are those of the sender's certificate; None where the transport asks for none.
    """

    def take(self, data: bytes, names: frozenset[str] | None = None) -> bytes: ...

    def reject(self, reason: str, data: bytes = b"") -> bytes: ...


@dataclass(slots=True, eq=False)
class _Connection:
    """One sender. `waiting_since` is when it was last answered, None while a message of it is under way."""

    task: asyncio.Task[None]
    address: str
    waiting_since: float | None


class MllpServer:
    """Serves MLLP on one port.

    Args:
        tls: client certificates are asked for by its context (`tls_context`).
    """

    def __init__(self, receiver: Receiver, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._receiver, self._host, self._port, self._tls = receiver, host, port, tls
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._threads = ThreadPoolExecutor(TOGETHER, thread_name_prefix="mllp")

    async def start(self) -> int:
        """Listen; returns the port (which was free for 0)."""
        limit: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_SECONDS} if self._tls else {}
        self._server = await asyncio.start_server(self._connected, self._host, self._port, ssl=self._tls, **limit)
        return int(self._server.sockets[0].getsockname()[1])

    async def turn(self) -> None:
        """Give its threads a piece of work that does nothing; returns when one has done it."""
        await asyncio.get_running_loop().run_in_executor(self._threads, int)

    async def stop(self) -> None:
        """Stop listening and end every connection; a message under way is answered first."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self._open]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        address = str((writer.get_extra_info("peername") or ("unknown",))[0])
        connection = _Connection(task, address, _now())
        try:
            if self._admitted(connection):
                await self._serve(connection, reader, writer)
        except TimeoutError:
            # Closing would wait for the answers to be read.
            writer.transport.abort()
            log.warning("mllp.answers_not_read")
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            log.info("mllp.connection_ended")
        finally:
            self._open.discard(connection)
            await _closed(writer)

    def _admitted(self, new: _Connection) -> bool:
        """Whether there is a place for a connection; where all are taken the one silent longest gives its own."""
        if sum(one.address == new.address for one in self._open) >= MOST_OF_ONE_ADDRESS:
            log.warning("mllp.too_many_of_one_address")
            return False
        if len(self._open) >= MOST_CONNECTIONS:
            idle = [one for one in self._open if one.waiting_since is not None]
            if not idle:
                log.warning("mllp.too_many_connections")
                return False
            longest = min(idle, key=lambda one: one.waiting_since or 0.0)
            log.warning("mllp.idle_connection_ended")
            self._open.discard(longest)
            longest.task.cancel()
        self._open.add(new)
        return True

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer, names = Framer(), certificate_names(writer)
        deadline: float | None = None
        while True:
            frames, deadline = await _frames(reader, framer, deadline)
            if frames is None:
                return
            for frame in frames:
                connection.waiting_since = None
                answer = await asyncio.shield(self._in_thread(frame, names))
                writer.write(START + answer + END + RETURN)
                async with asyncio.timeout(ANSWER_SECONDS):
                    await writer.drain()
                connection.waiting_since = _now()

    def _in_thread(self, frame: Frame, names: frozenset[str] | None) -> asyncio.Future[bytes]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self._answer, frame, names)

    def _answer(self, frame: Frame, names: frozenset[str] | None) -> bytes:
        return (
            self._receiver.reject(frame.fault, frame.begun) if frame.fault else self._receiver.take(frame.data, names)
        )


async def _frames(
    reader: asyncio.StreamReader, framer: Framer, deadline: float | None
) -> tuple[list[Frame] | None, float | None]:
    """The frames of the next bytes and when a half one is given up; None at the end of the connection."""
    try:
        async with asyncio.timeout_at(deadline):
            data = await reader.read(CHUNK)
    except TimeoutError:
        return [framer.give_up("the frame did not end in time")], None
    if not data:
        return None, None
    frames = framer.feed(data)
    if not framer.half:
        return frames, None
    # The clock of a frame runs on while its bytes trickle in; it starts again with the next frame.
    return frames, _now() + FRAME_SECONDS if deadline is None or frames else deadline


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await writer.wait_closed()


def certificate_names(writer: asyncio.StreamWriter) -> frozenset[str] | None:
    """The names of a sender's certificate: its common name and its DNS names. None without TLS."""
    tls = writer.get_extra_info("ssl_object")
    if tls is None:
        return None
    certificate: dict[str, Any] = tls.getpeercert() or {}
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return frozenset(common + [value for key, value in certificate.get("subjectAltName", ()) if key == "DNS"])


def tls_context(certificate: Path, key: Path, client_authority: Path) -> ssl.SSLContext:
    """TLS in which every client shows a certificate of the given authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_authority))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
