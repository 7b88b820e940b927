"""Every fixture damaged at random, through the real reader and a real store: bounded, and nothing escapes or is lost.

`CART_FUZZ_MESSAGES=1000` sends so many; some of them are part of every run. Of a mutation of the form (segment ends, delimiters,
encoding, repetition) the effect is the original's or none; of any mutation the answer is whole, and AA or AE is only said of
what is stored or passes.
"""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlmodel import func, select

from intake.hl7.batch import messages_of
from intake.hl7.message import header_of, read
from intake.hl7.receiver import SEND_AGAIN, Hl7Receiver
from store.engine import Database
from store.keys import Keyring
from store.tables import Encounter, Inbox, Quarantine, RecordMerge
from tests.kit import events as e
from tests.kit.databases import fresh_database
from tests.kit.hl7_fixtures import CASES, around, mapping_with

MESSAGES = int(os.environ.get("CART_FUZZ_MESSAGES", "150"))
GROWTH_MEGABYTES = 64
Mutation = Callable[[random.Random, bytes], bytes]


def cut(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def without_a_piece(dice: random.Random, data: bytes) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.randrange(1, 20) :]


def a_piece_twice(dice: random.Random, data: bytes) -> bytes:
    start = dice.randrange(len(data))
    return data[: start + 20] * 2 + data[start:]


def other_bytes(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        changed[dice.randrange(len(changed))] = dice.choice((0, 7, 10, 13, 27, 28, 38, 92, 94, 124, 126, 127, 255, 65))
    return bytes(changed)


def a_segment_often(dice: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r")
    return b"\r".join([*lines[:-1], *[dice.choice(lines)] * dice.choice((2, 50)), lines[-1]])


def a_long_field(dice: random.Random, data: bytes) -> bytes:
    filling = dice.choice((b"|", b"~", b"^", b"&", b"\\", b"\\E\\", b"x", b"\n", b"\\X41\\")) * dice.choice((30, 9000))
    place = dice.randrange(len(data))
    return data[:place] + filling + data[place:]


def shuffled(dice: random.Random, data: bytes) -> bytes:
    first, *others = data.split(b"\r")
    dice.shuffle(others)
    return b"\r".join([first, *others])


CONTENT: tuple[Mutation, ...] = (
    cut,
    without_a_piece,
    a_piece_twice,
    other_bytes,
    a_segment_often,
    a_long_field,
    shuffled,
)
ENDS = (
    lambda data: data.replace(b"\r", b"\n"),
    lambda data: data.replace(b"\r", b"\r\n"),
    lambda data: data.rstrip(b"\r"),
    lambda data: data.replace(b"\r", b"\r\r"),
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.replace(b"|", b"!"),
    lambda data: data.replace(b"^", b"*"),
    lambda data: data.replace(b"~", b"@"),
)
"""Ways to write the same message. None of these characters stands in a fixture's values."""


def door_of(store: tuple[Database, Keyring], case: Path) -> Hl7Receiver:
    addition = case / "mapping.toml"
    mapping = mapping_with(addition.read_text() if addition.exists() else "")
    door = Hl7Receiver(*store, mapping, lambda: e.NOW, lambda: None)
    for before in sorted(case.glob("before-*")):
        door.take(before.read_bytes())
    return door


def rows(db: Database) -> int:
    with db.read() as session:
        tables = (Inbox, Quarantine, RecordMerge, Encounter)
        return sum(session.exec(select(func.count()).select_from(table)).one() for table in tables)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_message_became_it_is_answered_and_kept_or_named(store: tuple[Database, Keyring], seed: int) -> None:
    dice = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    doors = [(door_of(store, case), (case / "message").read_bytes()) for case in dice.sample(CASES, 12)]
    stored = rows(store[0])
    for number in range(MESSAGES // 3):
        door, message = doors[number % len(doors)]
        sent = dice.choice(CONTENT)(dice, message)
        for _ in range(dice.randrange(2)):
            sent = dice.choice(CONTENT)(dice, sent or b"MSH")
        for answer in map(read, messages_of(door.take(sent))):
            code, text = answer.get("MSA-1"), answer.get("MSA-3") or ""
            assert code in ("AA", "AE", "AR")
            assert text != SEND_AGAIN, (number, sent[:400])
            header = header_of(sent)
            if code != "AA" and header and header.get("MSH-10") and not sent.startswith((b"BHS", b"FHS")):
                assert answer.get("MSA-2"), sent[:200]
            if code == "AE":
                assert rows(store[0]) >= stored
        stored = rows(store[0])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < GROWTH_MEGABYTES * 1024


@pytest.mark.parametrize("way", range(len(ENDS)))
def test_another_form_has_the_same_effect(store: tuple[Database, Keyring], tmp_path: Path, way: int) -> None:
    """A few fixtures in each way of writing; with `CART_FUZZ_MESSAGES` all of them."""
    dice = random.Random(way)
    usable = [case for case in CASES if _can_be_rewritten(case)]
    for case in dice.sample(usable, len(usable) if MESSAGES >= 1000 else 4):
        effects = []
        for rewrite in (lambda data: data, ENDS[way]):
            db = fresh_database(tmp_path)
            door = door_of((db, store[1]), case)
            answer = read(door.take(rewrite((case / "message").read_bytes())))
            effects.append((answer.get("MSA-1"), around(db, store[1])))
            db.close()
        assert effects[0] == effects[1], case


def _can_be_rewritten(case: Path) -> bool:
    """Of one message in the usual form, whose text has no line break, and which was not cut."""
    data = (case / "message").read_bytes()
    plain = data.startswith(b"MSH|^~\\&|") and b"\n" not in data and data.endswith(b"\r") and data.count(b"MSH|") == 1
    return plain and b"!" not in data and b"\r\r" not in data and b"n|1||x" not in data
