"""The checker: a file of messages and a mapping in, what each message would become out. Nothing is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from intake.hl7.mapping import Mapping
from intake.hl7.message import NotHl7, NotUsable, read, text_of
from intake.hl7.translate import Unsupported, translate


@dataclass(frozen=True, slots=True)
class Finding:
    """What one message would become. `outcome` is an event type, merge, ignored, refused or quarantined."""

    number: int
    trigger: str
    outcome: str
    detail: str = ""


def messages(data: bytes) -> list[bytes]:
    """The messages of a file: each begins with an MSH segment; MLLP framing around them is taken off."""
    text = text_of(data.replace(b"\x0b", b"").replace(b"\x1c\x0d", b"\x0d").replace(b"\x1c", b""))
    starts = [found.start() for found in re.finditer(r"(?m)(?:^|(?<=\r))MSH", text)]
    parts = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [(part.strip("\r") + "\r").encode() for part in parts]


def check(data: bytes, mapping: Mapping) -> Iterator[Finding]:
    """How each message of a file would map. Details name fields and mapping keys, never a value."""
    for number, message in enumerate(messages(data), start=1):
        yield _finding(number, message, mapping)


def _finding(number: int, data: bytes, mapping: Mapping) -> Finding:
    try:
        message = read(data)
    except NotHl7 as error:
        return Finding(number, "?", "refused", str(error))
    trigger = "^".join(message.trigger)
    feed = mapping.feed_of(message)
    if feed is None:
        return Finding(number, trigger, "refused", "MSH-3 and MSH-4: this sender is not in the mapping file")
    try:
        translated = translate(message, feed, mapping)
    except Unsupported as error:
        return Finding(number, trigger, "refused", str(error))
    except NotUsable as error:
        return Finding(number, trigger, "quarantined", str(error))
    if translated.merge is not None:
        return Finding(number, trigger, "merge", feed.name)
    if translated.event is None:
        return Finding(number, trigger, "ignored", feed.name)
    data_of = translated.event["data"]
    known = ", ".join(f"{key}={data_of[key]}" for key in ("stage", "setting", "class", "what") if key in data_of)
    return Finding(number, trigger, translated.event["type"], known)
