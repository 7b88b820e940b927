"""Batches (FHS, BHS … BTS, FTS) and files of messages, cut into the messages they hold, as bytes.

Every character set that is read agrees on what segments begin and end with, so each message keeps its own (MSH-18).
"""

from __future__ import annotations

import re

from intake.faults import NotHl7
from intake.hl7 import lines

CLOSING = {b"FHS": b"FTS", b"BHS": b"BTS"}
_MARK = b"\xef\xbb\xbf"
_FRAME = re.compile(rb"\x0b|\x1c\r?")
_BY_RETURN = (
    re.compile(rb"(?:^|(?<=\r)|(?<=\r\n))(?=MSH[^A-Za-z0-9\s])"),
    re.compile(rb"(?:^|(?<=\r)|(?<=\r\n))(?:FHS|BHS|BTS|FTS)[^\r]*(?:\r\n?|\Z)"),
)
_BY_LINE_FEED = (
    re.compile(rb"(?:^|(?<=\n))(?=MSH[^A-Za-z0-9\s])"),
    re.compile(rb"(?:^|(?<=\n))(?:FHS|BHS|BTS|FTS)[^\n]*(?:\n|\Z)"),
)
"""Where a message begins, and what is of the envelope, by what ends a segment there."""


def is_batch(data: bytes) -> bool:
    """True where bytes begin like a batch or a file of batches."""
    return data.removeprefix(_MARK).lstrip(b"\r\n")[:3] in CLOSING


def batch(data: bytes) -> list[bytes]:
    """The messages of a batch that arrived whole.

    Raises:
        NotHl7: it has no end, or its trailer counts other messages than came: it was cut off, and none of it is taken.
    """
    text, _ = lines.ended(data.removeprefix(_MARK).decode("latin-1"))
    rows = [line.encode("latin-1") for line in text.split("\r") if line]
    if rows[-1][:3] != CLOSING[rows[0][:3]]:
        raise NotHl7("the batch is cut off: it does not end with its trailer (BTS, or FTS of a file)")
    open_batch, messages, batches = False, 0, 0
    for line in rows:
        name = line[:3]
        if name == b"BHS" and open_batch:
            raise NotHl7("BHS: the batch before it has no trailer")
        if name == b"BTS":
            _counted(line, messages)
            batches += 1
        if name == b"FTS":
            _counted(line, batches or bool(messages))
        open_batch = (open_batch or name == b"BHS") and name != b"BTS"
        messages = 0 if name in (b"BHS", b"BTS") else messages + (name == b"MSH")
    if open_batch:
        raise NotHl7("FTS: a batch of the file has no trailer")
    return messages_of(data)


def messages_of(data: bytes) -> list[bytes]:
    """Every message of a file as it stands there, each from its MSH to before the next; frames and envelopes are left out."""
    pieces = (piece.removeprefix(_MARK).lstrip(b"\r\n") for piece in _FRAME.split(data))
    return [message for piece in pieces for message in _messages(piece)]


def _messages(data: bytes) -> list[bytes]:
    first = re.search(rb"[\r\n]", data)
    begins, envelope = _BY_LINE_FEED if first and first.group() == b"\n" else _BY_RETURN
    return [part for part in begins.split(envelope.sub(b"", data)) if part.startswith(b"MSH")]


def _counted(trailer: bytes, held: int) -> None:
    """Hold what BTS-1 or FTS-1 says against what came; it may say nothing. Messages without BHS and BTS are one batch."""
    name = trailer[:3].decode("ascii")
    said = trailer[4:].split(trailer[3:4] or b"|", 1)[0].strip()
    what = "messages" if name == "BTS" else "batches"
    if said and not said.isdigit():
        raise NotHl7(f"{name}-1: not a number; it counts the {what} of what it ends, or is empty")
    if said and int(said) != held:
        raise NotHl7(f"{name}-1: counts other {what} than came; send all of it again")
