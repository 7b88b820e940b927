"""Payer files as senders write them: every fixture is read as it says, in any separators; what is damaged accepts nothing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import oxedi
import pytest

from domain.billing.x12.response_files import read
from tests.domain.billing.x12_files import (
    FIXTURES,
    SAMPLES,
    acceptances,
    effect,
    in_separators,
    sample,
    separator_sets,
    summary,
)

FILES = sorted(path.name for path in SAMPLES.glob("*.x12"))
CASES = sorted(path.parent for path in FIXTURES.glob("*/message"))
WHOLE = os.environ.get("CART_TESTS_WHOLE") == "1"
MUTATIONS = 1000 if WHOLE else 120
"""Of each kind, over all samples; `CART_TESTS_WHOLE=1` runs all of them."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_senders_file_is_read_as_its_fixture_says(case: Path) -> None:
    assert summary((case / "message").read_bytes()) == json.loads((case / "expected").read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_the_same_in_any_separators(name: str) -> None:
    usual = summary(sample(name))
    assert usual["entries"]
    for marks in separator_sets(100):
        assert effect(summary(in_separators(sample(name), marks))) == effect(usual), marks


def _in_usual_separators(case: Path) -> bool:
    body = (case / "message").read_bytes()
    usual = (
        body[:3] == b"ISA"
        and body[3:4] + body[82:83] + body[104:106] == b"*^:~"
        and body.isascii()
        and body.count(b"ISA") == 1
    )
    return usual and bool(summary(body).get("entries"))


@pytest.mark.parametrize("case", [case for case in CASES if _in_usual_separators(case)], ids=lambda case: case.name)
def test_a_fixture_has_the_same_effect_in_any_separators(case: Path) -> None:
    body = (case / "message").read_bytes()
    usual = effect(summary(body))
    for marks in separator_sets(100):
        assert effect(summary(in_separators(body, marks))) == usual, marks


def test_a_file_says_the_same_in_pieces_of_any_size() -> None:
    body = b"".join(sample(name) for name in FILES)
    for size in (1, 7, 105, 106, 107, 4096):
        parts = (body[start : start + size] for start in range(0, len(body), size))
        assert list(read(parts, UTC)) == list(read([body], UTC)), size


def envelope(body: bytes, chance: random.Random) -> bytes:
    """A damaged header or trailer."""
    segments = body.split(b"~\n")
    names = (b"ISA", b"GS", b"ST", b"SE", b"GE", b"IEA")
    place = chance.choice([n for n, s in enumerate(segments) if s.partition(b"*")[0] in names])
    elements = segments[place].split(b"*")
    index = chance.randrange(len(elements))
    elements[index] = chance.choice([b"", b"0", b"999", b"X", elements[index] + b"0", elements[index][:-1]])
    segments[place] = b"*".join(elements)
    return b"~\n".join(segments)


def cut(body: bytes, chance: random.Random) -> bytes:
    """The beginning of a file, or a file without a part of it."""
    start, end = sorted(chance.sample(range(len(body)), 2))
    return body[:end] if chance.random() < 0.5 else body[:start] + body[end:]


def repeated(body: bytes, chance: random.Random) -> bytes:
    """A segment, a run of them or the whole file twice."""
    segments = body.split(b"~\n")
    start, end = sorted(chance.sample(range(len(segments)), 2))
    return chance.choice([body + body, b"~\n".join([*segments[:end], *segments[start:end], *segments[end:]])])


def encoded(body: bytes, chance: random.Random) -> bytes:
    """Other characters, marks and line ends."""
    text = body.decode()
    return chance.choice(
        [
            text.encode("utf-16"),
            text.encode("utf-8-sig"),
            text.replace("EXAMPLE", "ÉXÄMPLE").encode("latin-1"),
            text.replace("EXAMPLE", "ÉXÄMPLE").encode("utf-8"),
            text.encode("cp500"),
            b"\x00" * chance.randrange(9) + body + b"\x1a" * chance.randrange(9),
            body.replace(b"\n", chance.choice([b"", b"\r\n", b"\r", b"\n\n", b" \n"])),
            body.replace(b"MADEUP", b"MADE" + bytes([chance.randrange(128, 256)]) + b"UP"),
        ]
    )


def separated(body: bytes, chance: random.Random) -> bytes:
    """A separator that is another byte somewhere, or in the header alone."""
    places = [n for n, byte in enumerate(body) if byte in b"*:~^"]
    chosen = chance.sample(places, chance.choice([1, 1, 2, 5]))
    changed = bytearray(body)
    for place in chosen:
        changed[place] = chance.choice(b"*:~^>|\n\x1f A0")
    return bytes(changed)


def content(body: bytes, chance: random.Random) -> bytes:
    """Another value in any segment."""
    segments = body.split(b"~\n")
    for _ in range(chance.choice([1, 1, 3])):
        place = chance.randrange(1, len(segments) - 1)
        elements = segments[place].split(b"*")
        index = chance.randrange(1, len(elements)) if len(elements) > 1 else 0
        values = [
            b"",
            b" ",
            b"A",
            b"-1",
            b"1E9",
            b"NaN",
            b"99999999999999999999",
            b"::::",
            b"\xff",
            b"a7:562",
            b"Q",
            b"20261332",
        ]
        elements[index] = chance.choice(values)
        segments[place] = b"*".join(elements)
    return b"~\n".join(segments)


def mutants(kind: str) -> Iterator[tuple[str, bytes]]:
    chance = random.Random(kind)
    make = {f.__name__: f for f in (envelope, cut, repeated, encoded, separated, content)}[kind]
    for number in range(MUTATIONS):
        name = FILES[number % len(FILES)]
        yield name, make(sample(name), chance)


@pytest.mark.parametrize("kind", ["envelope", "cut", "repeated", "encoded"])
def test_a_damaged_file_says_what_it_said_or_nothing(kind: str) -> None:
    """Headers may name another sender, number or day: what is said of claims and money is compared."""
    for name, body in mutants(kind):
        found, usual = summary(body), summary(sample(name))
        if "refused" in found:
            assert found["refused"]
            continue
        said = [entry["data"] for entry in found["entries"]]
        assert all(data in [entry["data"] for entry in usual["entries"]] for data in said), (name, body)


@pytest.mark.parametrize("kind", ["separated", "content", "envelope", "cut", "repeated", "encoded"])
def test_no_damage_turns_a_refusal_into_an_acceptance(kind: str) -> None:
    for name, body in mutants(kind):
        found = summary(body)
        if name.startswith("rejected"):
            assert not acceptances(found), (name, body)
        if name.startswith("denied"):
            assert all(entry["data"].get("paid", "0") in ("0", "0.00") for entry in found.get("entries", ())), body


def test_what_balances_here_balances_by_another_library() -> None:
    """The balance of the guide is counted here segment by segment; `oxedi` counts it over the whole file."""
    paid = sample("paid.835.x12")
    changes = [(b"BPR*I*800*", b"BPR*I*%d*"), (b"*1*1000*800*", b"*1*1000*%d*"), (b"CAS*CO*45*100", b"CAS*CO*45*%d")]
    for old, new in changes:
        for amount in (0, 100, 700, 800, 900):
            body = paid.replace(old, new % amount)
            unbalanced = any("_balance" in finding.rule for finding in oxedi.parse(body).diagnostics)
            assert ("balance" in summary(body).get("refused", "")) == unbalanced, body


def test_a_segment_without_end_and_a_claim_without_end_are_refused() -> None:
    long = sample("paid.835.x12").replace(b"EXAMPLE MAC", b"X" * 100_000)
    assert "bytes" in summary(long)["refused"]
    many = sample("paid.835.x12").replace(b"AMT*AU*1000~\n", b"AMT*AU*1000~\n" * 20_001)
    assert "a claim of it has more than" in summary(many)["refused"]
