"""Batches (FHS, BHS … BTS, FTS) and files of messages, cut into the messages they hold, as bytes.

Every character set that is taken in agrees on what segments begin and end with, so each message keeps its own (MSH-18).
"""

from __future__ import annotations

import re

from intake.faults import NotHl7

CLOSING = {b"FHS": b"FTS", b"BHS": b"BTS"}
_MARK = b"\xef\xbb\xbf"
_FRAME = re.compile(rb"\x0b|\x1c\r?")
_MESSAGE = re.compile(rb"(?:^|(?<=\r))(?=MSH)")
_ENVELOPE = re.compile(rb"(?:^|(?<=\r))(?:FHS|BHS|BTS|FTS)[^\r]*\r?")


def is_batch(data: bytes) -> bool:
    """True where bytes begin like a batch or a file of batches."""
    return data.removeprefix(_MARK)[:3] in CLOSING


def batch(data: bytes) -> list[bytes]:
    """The messages of a batch that arrived whole.

    Raises:
        NotHl7: it has no end, or its trailer counts other messages than came: it was cut off, and none of it is taken.
    """
    whole = _lines_ended(data)
    lines = [line for line in whole.split(b"\r") if line]
    if not whole.endswith(b"\r") or lines[-1][:3] != CLOSING[lines[0][:3]]:
        raise NotHl7("the batch is cut off: it does not end with its trailer (BTS, or FTS of a file)")
    open_batch, messages, batches = False, 0, 0
    for line in lines:
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
    return messages_of(whole)


def messages_of(data: bytes) -> list[bytes]:
    """Every message of a file, each from its MSH to before the next; MLLP frames and envelopes of batches are left out."""
    whole = _ENVELOPE.sub(b"", _lines_ended(_FRAME.sub(b"\r", data)).lstrip(b"\r"))
    return [part.strip(b"\r") + b"\r" for part in _MESSAGE.split(whole) if part.startswith(b"MSH")]


def _lines_ended(data: bytes) -> bytes:
    return data.removeprefix(_MARK).replace(b"\r\n", b"\r").replace(b"\n", b"\r")


def _counted(trailer: bytes, held: int) -> None:
    """Hold what BTS-1 or FTS-1 says against what came; it may say nothing. Messages without BHS and BTS are one batch."""
    name = trailer[:3].decode("ascii")
    said = trailer[4:].split(trailer[3:4] or b"|", 1)[0].strip()
    what = "messages" if name == "BTS" else "batches"
    if said and not said.isdigit():
        raise NotHl7(f"{name}-1: not a number; it counts the {what} of what it ends, or is empty")
    if said and int(said) != held:
        raise NotHl7(f"{name}-1: counts other {what} than came; send all of it again")
