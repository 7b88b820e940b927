"""Bytes to text by MSH-18 (HL7 table 0211). Without it UTF-8, or Latin-1 where a sender of old still uses it."""

from __future__ import annotations

import codecs
import re

from intake.faults import Fault, NotHl7

UNSAID = frozenset({"", "ASCII"})
"""Systems write ASCII by default and send what they have: read as if nothing were said."""

TABLE = {
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
"""The names of table 0211 that are read here; UNICODE is what older versions have for the one form of it that MLLP carries."""

READ = frozenset(
    {
        "utf-8",
        "ascii",
        *(codecs.lookup(f"iso8859-{part}").name for part in (*range(1, 12), 13, 14, 15, 16)),
        *(f"cp125{last}" for last in range(9)),
    }
)
"""Python's names of what agrees with ASCII in every delimiter; senders name them in many ways, which its registry knows."""

FIELD, LONGEST = 18, 40
NAME, NOT_STATED = "character_set_name", "character_set_not_stated"
_HEADER = re.compile(rb"(?:^|[\r\n])(?:\xef\xbb\xbf)?MSH([^\r\n])([^\r\n]*)")
_PART = re.compile(r"^(?:ISO|ISOIEC)?8859(\d{1,2}?)(?:(?:19|20)\d\d)?$")
_PAGE = re.compile(r"^(?:WINDOWS|WIN|CP|MS|CODEPAGE)?(125\d)$")
_SHORT = {"UNICODEUTF8": "utf-8", "ISOIR192": "utf-8", "ISOIR100": "iso8859-1", "ANSI": "cp1252", "USASCII": "ascii"}


def decoded(data: bytes) -> tuple[str, frozenset[str]]:
    """The text of a message, and in what the naming of its characters departs from table 0211.

    Raises:
        NotHl7: the bytes are not of a character set that MSH-18 names, or it names none that is read here.
    """
    data = data.removeprefix(codecs.BOM_UTF8)  # some senders put it before any character set
    names = _named(data)
    found = {name: "ascii" if name in UNSAID else _codec(name) for name in names}
    known = [codec for codec in found.values() if codec not in (None, "ascii")]
    unsaid = "ascii" in found.values()
    if not known and not unsaid:
        raise NotHl7("MSH-18: this character set is not read here; send UNICODE UTF-8, ASCII or 8859/1", Fault.TABLE)
    departures = {NAME} if any(name not in {*UNSAID, *TABLE} for name in names) else set()
    for codec in known:
        for attempt in _attempts(str(codec)):
            if (text := _read(data, attempt)) is not None:
                return text, frozenset(departures)
    if not unsaid:
        raise NotHl7("MSH-18: the bytes are not of the character set it names", Fault.FIELD)
    if (text := _read(data, "utf-8")) is not None:
        return text, frozenset(departures)
    text = _read(data, "cp1252")
    return data.decode("latin-1") if text is None else text, frozenset(departures | {NOT_STATED})


def _read(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _attempts(codec: str) -> tuple[str, ...]:
    """Windows-1252 is often called 8859/1: its quotation marks stand where that has control characters."""
    return ("cp1252", codec) if codec == "iso8859-1" else (codec,)


def _codec(name: str) -> str | None:
    if name in TABLE:
        return TABLE[name]
    plain = re.sub(r"[^A-Z0-9]", "", name)
    if found := _PART.match(plain):
        name = f"iso8859-{found.group(1)}"
    elif found := _PAGE.match(plain):
        name = f"cp{found.group(1)}"
    try:
        codec = codecs.lookup(_SHORT.get(plain, name[:LONGEST])).name
    except (LookupError, ValueError):
        return None
    return codec if codec in READ else None


def _named(data: bytes) -> list[str]:
    """MSH-18 of the first message, before decoding: all of these sets agree on the ASCII that a header is made of."""
    found = _HEADER.search(data)
    if found is None:
        return [""]
    separator, rest = found.groups()
    fields = rest.split(separator)
    if len(fields) < FIELD - 1:
        return [""]
    repetition = fields[0][1:2] or b"~"
    names = fields[FIELD - 2].split(repetition)
    return [name.split(b"^")[0].strip().strip(b'"').decode("latin-1").upper() for name in names]
