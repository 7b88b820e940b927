"""Reading an HL7 v2 message: segments, fields, components, escapes. Versions 2.3 to 2.5.1 read alike.

`hl7` cuts a message into its parts. Three things are our own. Whether a message is whole: `hl7.parse` strips its end, by
which a cut one is known. Escapes: `hl7.unescape` writes the value of the field to the log where a sequence is at fault,
and lets one sequence (`\\.sp999999999\\`) claim all memory. Batches: `hl7.parse_batch` also breaks lines at characters
that may stand in a name, and repeats the line in its error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import hl7

from intake.faults import Fault, NotHl7, NotUsable
from intake.hl7.charsets import text_of
from intake.site_mapping import parse_path

DELIMITERS = 5
NULL = '""'
"""What a sender writes to delete a value; read as absent."""

CODE = re.compile(r"^[A-Z][A-Z0-9]{2}$", re.ASCII)
"""A message code or trigger event (HL7 tables 0076 and 0003)."""

_TIME = re.compile(r"^(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,4})?)?)?)?([+-]\d{4})?$", re.ASCII)
_NAME = re.compile(r"^[A-Z][A-Za-z0-9]{2}$", re.ASCII)
_ESCAPE = re.compile(r"\\([FSTRE]|X[0-9A-Fa-f]+|\.br|H|N)\\")


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. Fields are numbered as the standard numbers them; MSH-1 is the separator itself."""

    parsed: hl7.Message

    def all(self, name: str) -> Iterator[hl7.Segment]:
        """Every segment of a name."""
        return (segment for segment in self.parsed if str(segment[0]) == name)

    def get(self, path: str) -> str | None:
        """The first value at a path such as `SCH-8.1`, of the first segment that has one; None when absent or null.

        Raises:
            ValueError: the path is not of that form.
        """
        name, field, component = parse_path(path)
        for segment in self.all(name):
            for value in self.repetitions(segment, field):
                found = self.part(value, component)
                if found:
                    return found
        return None

    def repetitions(self, segment: hl7.Segment, field: int) -> list[Any]:
        """The repetitions of a field, for `part`."""
        whole = segment[field] if field < len(segment) else ""
        return [] if str(whole) in ("", NULL) else list(whole)

    def part(self, value: Any, component: int, subcomponent: int = 1) -> str | None:
        """A component of a repetition, escapes resolved; None when absent."""
        raw = _at(_at(value, component), subcomponent)
        text = self._unescaped(str(raw)).strip()
        return None if text in ("", NULL) else text

    def _unescaped(self, raw: str) -> str:
        escape: str = self.parsed.esc
        if escape not in raw:
            return raw
        _, field, repetition, component, subcomponent = self.parsed.separators
        plain: dict[str, str] = {
            "F": field,
            "S": component,
            "T": subcomponent,
            "R": repetition,
            "E": escape,
            ".br": " ",
        }

        def resolve(found: re.Match[str]) -> str:
            code = found.group(1)
            if code.startswith("X"):
                digits = code[1:]
                return bytes.fromhex(digits).decode("latin-1") if len(digits) % 2 == 0 else ""
            return plain.get(code, "")

        return _ESCAPE.sub(resolve, raw.replace(escape, "\\"))

    @property
    def control_id(self) -> str:
        return self.get("MSH-10") or ""

    @property
    def sender(self) -> tuple[str | None, str | None]:
        """Sending application and facility (MSH-3.1, MSH-4.1)."""
        return self.get("MSH-3.1"), self.get("MSH-4.1")

    @property
    def trigger(self) -> tuple[str, str]:
        """Message code and trigger event, for example ("SIU", "S12")."""
        return self.get("MSH-9.1") or "", self.get("MSH-9.2") or self.get("EVN-1") or ""

    @property
    def version(self) -> str:
        return self.get("MSH-12.1") or ""


def _at(value: Any, number: int) -> Any:
    """The part of a number, from 1. What has no delimiter in it is a text and its own first part."""
    if isinstance(value, str):
        return value if number == 1 else ""
    return value[number - 1] if number <= len(value) else ""


def read(data: bytes) -> Message:
    """Read a whole message in its own character set.

    Raises:
        NotHl7: as `read_text`, or its characters cannot be told.
    """
    return read_text(text_of(data))


def read_text(text: str) -> Message:
    """Read a whole message.

    A message ends with a segment end; one that does not was cut off somewhere, and none of it is believed.

    Raises:
        NotHl7: it does not begin with MSH, is cut off, or a line is no segment.
    """
    _check_header(text)
    if not text.endswith("\r"):
        raise NotHl7("the message is cut off: its last segment has no end")
    lines = [line for line in text.split("\r") if line]
    if not all(_NAME.match(line.split(text[3], 1)[0]) for line in lines):
        raise NotHl7("a line does not begin with the name of a segment")
    if sum(line.startswith("MSH") for line in lines) > 1:
        raise NotHl7("a second MSH segment: send each message in a frame of its own, or a batch with BHS and BTS")
    return Message(hl7.parse("\r".join(lines)))  # type: ignore[no-untyped-call]


def _check_header(text: str) -> None:
    if not text.startswith("MSH"):
        raise NotHl7("a message begins with an MSH segment")
    separator = text[3:4]
    encoding = text[4:].split(separator, 1)[0] if separator else ""
    if len(encoding) < DELIMITERS - 1 or len(set(separator + encoding[:4])) != DELIMITERS or encoding[:4].isalnum():
        raise NotHl7("MSH-1 and MSH-2 do not name five different delimiters")
    if separator not in text[4:] or "\r" in separator + encoding:
        raise NotHl7("the message is cut off in its MSH segment")


def moment(value: str, zone: ZoneInfo, path: str) -> datetime:
    """A time stamp with at least its hour, in its own offset or in the site's zone.

    Of the hour that the clocks show twice the first pass is meant, always, so that a message read again says the same.

    Raises:
        NotUsable: not a time stamp, without an hour, or a local time that the clocks left out.
    """
    found = _TIME.match(value)
    if found is None or found.group(4) is None:
        raise NotUsable(f"{path}: not a time stamp of at least the hour (YYYYMMDDHHMM)")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        naive = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 the zone follows
    except ValueError:
        raise NotUsable(f"{path}: no such day or hour") from None
    if found.group(7):
        return naive.replace(tzinfo=_offset(found.group(7), path))
    local = naive.replace(tzinfo=zone)
    try:
        real = local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
    except OverflowError:
        raise NotUsable(f"{path}: no such day or hour") from None
    if not real:
        raise NotUsable(f"{path}: the clocks were set forward over this hour; send it with its offset")
    return local


def _offset(text: str, path: str) -> timezone:
    hours, minutes = int(text[1:3]), int(text[3:5])
    if hours > 14 or minutes > 59:
        raise NotUsable(f"{path}: no such offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def first(message: Message, paths: tuple[str, ...], what: str) -> str:
    """The value at the first of the paths that has one.

    Raises:
        NotUsable: none has.
    """
    for path in paths:
        value = message.get(path)
        if value is not None:
            return value
    raise NotUsable(f"{' or '.join(paths)}: {what} is missing", Fault.MISSING)
