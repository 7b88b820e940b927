"""What is read of a payer file, in short; files rewritten in other separators."""

from __future__ import annotations

import random
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any

from domain.billing.x12.entries import Apart, Departure, Entry, NotUsable, Opened
from domain.billing.x12.response_files import pieces, read

TESTS = Path(__file__).resolve().parents[2]
SAMPLES, FIXTURES = TESTS / "samples", TESTS / "fixtures" / "x12"
USUAL = "*:^~"
"""The separators of the samples: element, component, repetition, segment."""


def sample(name: str) -> bytes:
    text = (SAMPLES / name).read_text()
    return text.replace("@CLAIM@", "CE0000000042").replace("@INTERCHANGE@", "7").encode()


def whole(name: str) -> dict[str, bytes]:
    return {path.name: sample(path.name) for path in sorted(SAMPLES.glob(name))}


def summary(body: bytes) -> dict[str, Any]:
    """Entries, what is set apart, and departures; or why it is refused."""
    entries: list[Any] = []
    apart: list[Any] = []
    departures: list[str] = []
    sender = ""
    try:
        for item in read(pieces(body), UTC):
            if isinstance(item, Opened):
                sender = f"{item.sender}/{item.number}"
            elif isinstance(item, Entry):
                kept = {key: value for key, value in asdict(item).items() if value not in (None, "", ())}
                kept.pop("text", None)
                kept["named"] = list(item.named)
                entries.append({**kept, "interchange_of": sender} | ({"on": str(item.on)} if item.on else {}))
            elif isinstance(item, Apart):
                apart.append([item.reason, item.control, item.interchange])
            elif isinstance(item, Departure):
                departures.append(f"{item.kind}: {item.words}")
    except NotUsable as error:
        return {"refused": str(error), "torn": error.torn}
    return {"entries": entries, "apart": apart, "departures": departures}


def effect(found: dict[str, Any]) -> Any:
    """What a file changes: its departures change nothing."""
    return (found["entries"], found["apart"]) if "entries" in found else None


def acceptances(found: dict[str, Any]) -> set[str]:
    """Which claims or interchanges it accepts: a receipt counts, for it is no refusal."""
    return {
        str(entry.get("control") or entry.get("interchange"))
        for entry in found.get("entries", ())
        if entry["data"].get("accepted")
    }


def in_separators(body: bytes, marks: bytes) -> bytes:
    """The file with other separators, a byte each; segment ends of a line feed or return stand alone."""
    table = bytes.maketrans(USUAL.encode(), marks)
    flat = body.replace(b"\n", b"")
    return (
        flat.translate(table)
        if marks[3:] in (b"\n", b"\r")
        else flat.translate(table).replace(marks[3:], marks[3:] + b"\r\n")
    )


def separator_sets(count: int) -> list[bytes]:
    """Sets of four different bytes that stand in no sample; the first ones are those that senders are known for."""
    known = [b"*>^~", b"|:^'", b"*\x1f\x1d\x1c", b"*:^\n", b"*:^\r", b"\x1d\x1f\x1e\x1c", b"*:U~", b"\xa6\xac\xa4\xa7"]
    used = set(b"".join(sample(path.name) for path in SAMPLES.glob("*.x12"))) - set(USUAL.encode())
    free = [byte for byte in range(1, 256) if byte not in used and not (byte < 128 and chr(byte).isalnum())]
    free = [byte for byte in free if byte not in b"\r\n \x00\x1a\t"]
    chance = random.Random(12)
    return known + [bytes(chance.sample(free, 4)) for _ in range(count - len(known))]
