"""A real MLLP server on a socket over a real database, a client for it, and the recorded messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from intake.hl7.batch import messages_of
from intake.hl7.framing import END, RETURN, START
from intake.hl7.message import Message, read
from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import Hl7Receiver
from intake.site_mapping import SiteMapping, parse_mapping
from store.engine import Database
from store.keys import Keyring
from tests.kit import events as e
from tests.kit.files import DEPLOY, ROOT

MESSAGES = ROOT / "tests" / "intake" / "hl7" / "messages"


PATIENCE = 60


def recorded(name: str) -> list[bytes]:
    """The messages of a recorded file."""
    return messages_of((MESSAGES / f"{name}.hl7").read_bytes())


def framed(message: bytes) -> bytes:
    return START + message + END + RETURN


class Client:
    """A sender: writes bytes, reads answers one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            frame = await self.reader.readuntil(END + RETURN)
        assert frame.startswith(START)
        return read(frame[1:-2])

    async def send(self, message: bytes) -> Message:
        await self.write(framed(message))
        return await self.answer()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@dataclass
class Mllp:
    """The server's address and the parts behind it."""

    port: int
    door: Hl7Receiver
    db: Database
    keys: Keyring
    woken: list[int]

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))


@pytest.fixture(scope="session")
def mapping() -> SiteMapping:
    return parse_mapping((DEPLOY / "hl7.example.toml").read_text())


@pytest.fixture
async def mllp(store: tuple[Database, Keyring], mapping: SiteMapping) -> AsyncIterator[Mllp]:
    db, keys = store
    woken: list[int] = []
    door = Hl7Receiver(db, keys, mapping, lambda: e.NOW, lambda: woken.append(1))
    server = MllpServer(door, "127.0.0.1", 0)
    port = await server.start()
    yield Mllp(port, door, db, keys, woken)
    await server.stop()
