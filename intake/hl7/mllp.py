"""MLLP: many connections, each message answered before the next is read; a broken frame is refused, not the connection.

Own framing and not a library's: those at hand end the connection, or answer nothing, when a frame is malformed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

START, END, RETURN = b"\x0b", b"\x1c", b"\x0d"
LARGEST = 256 * 1024
CHUNK = 64 * 1024
MOST_CONNECTIONS = 200
HALF_FRAME_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Door(Protocol):
    """Answers messages, and bytes that are none."""

    def take(self, data: bytes) -> bytes: ...

    def reject(self, reason: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message, or the reason why bytes are none."""

    data: bytes = b""
    fault: str = ""


class Framer:
    """Cuts a stream of bytes into frames. Bytes that belong to no frame are a fault, once for each stretch of them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inside = False
        self._skipping = False

    @property
    def half(self) -> bool:
        """True while a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[Frame]:
        """The frames and faults that these bytes complete."""
        self._buffer += data
        found: list[Frame] = []
        while (frame := self._next()) is not None:
            if frame.data or frame.fault:
                found.append(frame)
        return found

    def give_up(self, reason: str) -> Frame:
        """Drop a frame that does not end."""
        self._buffer.clear()
        self._inside = False
        return Frame(fault=reason)

    def _next(self) -> Frame | None:
        return self._inside_frame() if self._inside else self._outside_frame()

    def _outside_frame(self) -> Frame | None:
        start = self._buffer.find(START)
        junk = bytes(self._buffer[:start] if start >= 0 else self._buffer)
        del self._buffer[: len(junk) + (start >= 0)]
        self._inside = start >= 0
        meaningless = bool(junk.strip(b"\r\n\x1c\x00 ")) and not self._skipping
        self._skipping = not self._inside and (self._skipping or meaningless)
        if meaningless:
            return Frame(fault="bytes outside of a frame")
        return Frame() if self._inside else None

    def _inside_frame(self) -> Frame | None:
        end, again = self._buffer.find(END), self._buffer.find(START)
        if again >= 0 and (end < 0 or again < end):
            del self._buffer[: again + 1]
            return Frame(fault="a frame began before the last one ended")
        if end < 0:
            if len(self._buffer) <= LARGEST:
                return None
            self._skipping = True
            return self.give_up(f"a message has at most {LARGEST} bytes")
        if end + 1 >= len(self._buffer):
            return None
        data, after = bytes(self._buffer[:end]), bytes(self._buffer[end + 1 : end + 2])
        del self._buffer[: end + (2 if after == RETURN else 1)]
        self._inside = False
        if after != RETURN:
            return Frame(fault="a frame ends with 1C 0D")
        return Frame(data) if data else Frame(fault="an empty frame")


class MllpServer:
    """Serves MLLP on one port.

    Args:
        tls: client certificates are asked for by its context (`tls_context`).
    """

    def __init__(self, door: Door, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._door, self._host, self._port, self._tls = door, host, port, tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; returns the port (which was free for 0)."""
        self._server = await asyncio.start_server(self._connected, self._host, self._port, ssl=self._tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end every connection; a message under way is answered first."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if len(self._open) <= MOST_CONNECTIONS:
                await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            log.info("mllp.connection_ended")
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        while (frames := await _frames(reader, framer)) is not None:
            for frame in frames:
                answer = await asyncio.shield(asyncio.to_thread(self._answer, frame))
                writer.write(START + answer + END + RETURN)
                await writer.drain()

    def _answer(self, frame: Frame) -> bytes:
        return self._door.reject(frame.fault) if frame.fault else self._door.take(frame.data)


async def _frames(reader: asyncio.StreamReader, framer: Framer) -> list[Frame] | None:
    """The frames of the next bytes; a half frame that stays half is given up; None at the end of the connection."""
    try:
        timeout = HALF_FRAME_SECONDS if framer.half else None
        data = await asyncio.wait_for(reader.read(CHUNK), timeout)
    except TimeoutError:
        return [framer.give_up("the frame did not end in time")]
    return framer.feed(data) if data else None


def tls_context(certificate: Path, key: Path, client_authority: Path) -> ssl.SSLContext:
    """TLS in which every client shows a certificate of the given authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_authority))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
