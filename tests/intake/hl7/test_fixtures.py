"""Every folder of tests/fixtures/hl7, sent over a socket: what hospitals write, and what becomes of it.

A folder `<trigger>/<quirk>` holds `message` (its bytes, as they come in a frame), what was sent before it (`before-1`, …),
additions to the packaged mapping (`mapping.toml`), and `expected.toml`: the answer, what of its text must stand there, the
bookings, stays and merges afterwards, the states in quarantine, and the departures that are counted. The quirk of a vendor
is added as a folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from intake.hl7.batch import messages_of
from intake.hl7.framing import END, RETURN, START
from intake.hl7.message import Message, header_of, read
from intake.hl7.mllp import MllpServer
from intake.hl7.receiver import Hl7Receiver
from intake.inbox.matching import recognize
from intake.site_mapping import Named
from store.engine import Database
from store.keys import Keyring
from tests.kit import events as e
from tests.kit.hl7_fixtures import CASES, FIXTURES, around, departures, found_by, mapping_with
from tests.kit.mllp import Client, framed


async def answers_to(client: Client, message: bytes) -> list[Message]:
    await client.write(framed(message))
    frame = await client.reader.readuntil(END + RETURN)
    answer = frame.removeprefix(START).removesuffix(END + RETURN)
    return [read(one) for one in messages_of(answer)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
async def test_the_fixture_does_what_it_must(store: tuple[Database, Keyring], case: Path) -> None:
    expected = tomllib.loads((case / "expected.toml").read_text())
    addition = case / "mapping.toml"
    mapping = mapping_with(addition.read_text() if addition.exists() else "")
    db, keys = store
    server = MllpServer(Hl7Receiver(db, keys, mapping, lambda: e.NOW, lambda: None), "127.0.0.1", 0)
    client = Client(*await _open(await server.start()))
    for before in sorted(case.glob("before-*")):
        assert [one.get("MSA-1") for one in await answers_to(client, before.read_bytes())] == ["AA"]
    counted = departures()
    message = (case / "message").read_bytes()
    answers = await answers_to(client, message)
    await client.close()
    await server.stop()
    header = header_of(message)
    assert [one.get("MSA-1") for one in answers] == expected.get("answers", [expected["answer"]])
    assert answers[0].get("MSA-2") == (header.get("MSH-10") if header else None)
    assert expected.get("text", "") in str(answers[0].get("MSA-3"))
    now = around(db, keys)
    wanted = {"appointments": [], "stays": [], "quarantine": [], "merges": 0}
    assert now == wanted | {key: value for key, value in expected.items() if key in wanted}
    assert all(found_by(db, keys, mrn) for mrn in expected.get("found", ()))
    new = sorted(kind for kind, value in departures().items() if value > counted.get(kind, 0.0))
    assert new == sorted(expected.get("departures", []))


async def _open(port: int) -> Any:
    import asyncio

    return await asyncio.open_connection("127.0.0.1", port)


def test_a_number_of_many_appointments_names_none(store: tuple[Database, Keyring]) -> None:
    """Systems give one placer number to every appointment; by it nothing is cancelled."""
    db, keys = store
    door = Hl7Receiver(db, keys, mapping_with(""), lambda: e.NOW, lambda: None)
    booking = (FIXTURES / "SIU_S12" / "version-2.5" / "message").read_bytes().replace(b"|P-1|", b"|P-0|")
    for number in (b"1", b"2"):
        assert (
            read(door.take(booking.replace(b"A-1", b"A-" + number).replace(b"C1", b"C" + number))).get("MSA-1") == "AA"
        )
    with db.read() as session:
        assert recognize(session, keys, Named(appointments=("P-0",), placers=("P-0",))).appointment is None
