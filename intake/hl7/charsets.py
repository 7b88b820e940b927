"""Bytes to text by MSH-18 (HL7 table 0211). Without it UTF-8, or Latin-1 where a sender of old still uses it."""

from __future__ import annotations

import re

from intake.faults import Fault, NotHl7

UNSAID = frozenset({"", "ASCII"})
"""Systems write ASCII by default and send what they have: read as if nothing were said."""

CODECS = {
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
FIELD = 18
_HEADER = re.compile(rb"(?:^|[\r\n])(?:\xef\xbb\xbf)?MSH([^\r\n])([^\r\n]*)")


def text_of(data: bytes) -> str:
    """The text, its segments ended by carriage returns; line feeds beside or instead of them are tolerated.

    Raises:
        NotHl7: the bytes are not of the character set that MSH-18 names, or it is none that is taken in.
    """
    return _decoded(data).replace("\r\n", "\r").replace("\n", "\r").lstrip("\ufeff")


def _decoded(data: bytes) -> str:
    named = _named(data)
    if named in UNSAID:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")
    codec = CODECS.get(named)
    if codec is None:
        raise NotHl7("MSH-18: this character set is not taken in; send UNICODE UTF-8, ASCII or 8859/1", Fault.TABLE)
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        raise NotHl7("MSH-18: the bytes are not of the character set it names", Fault.FIELD) from None


def _named(data: bytes) -> str:
    """MSH-18 of the first message, before decoding: all of these sets agree on the ASCII that a header is made of."""
    found = _HEADER.search(data)
    if found is None:
        return ""
    separator, rest = found.groups()
    fields = rest.split(separator)
    if len(fields) < FIELD - 1:
        return ""
    repetition = fields[0][1:2] or b"~"
    return fields[FIELD - 2].split(repetition)[0].strip().decode("latin-1").upper()
