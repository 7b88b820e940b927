"""Reading an HL7 v2 message: segments, fields, components, escapes. Versions 2.2 to 2.9 read alike.

Fields are cut when they are asked for: a message of nothing but delimiters then costs what its bytes do. The escapes are our
own, too: one sequence (`\\.sp999999999\\`) must not claim all memory, and no value of a field comes into the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from intake.faults import Fault, NotHl7, NotUsable
from intake.hl7 import lines
from intake.hl7.charsets import decoded
from intake.site_mapping import parse_path

DELIMITERS = 5
NULL = '""'
"""What a sender writes to delete a value; read as absent."""

CODE = re.compile(r"^[A-Z][A-Z0-9]{2}$", re.ASCII)
"""A message code or trigger event (HL7 tables 0076 and 0003)."""

LAST_NEEDED = {"SIU": ("RGS",), "ADT": ("PV1", "MRG")}
"""What a whole message of a kind reaches. One that ends before it, and whose last segment has no end, was cut off."""

HEAD = 4096
"""Of a message that cannot be read, the beginning that may hold its header."""

TIME = re.compile(
    r"^(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,6}|\d{1,6})?)?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?$",
    re.ASCII | re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\([FSTRE]|X[0-9A-Fa-f]+|\.br|H|N)\\")

Segment = list[str]
"""Its fields, numbered as the standard numbers them; 0 is its name."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message. MSH-1 is the separator itself.

    Attributes:
        departures: kinds of departures from the standard with which it was read all the same.
    """

    segments: tuple[Segment, ...]
    departures: frozenset[str] = frozenset()

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of a name."""
        return (segment for segment in self.segments if segment[0] == name)

    def get(self, path: str) -> str | None:
        """The first value at a path such as `SCH-8.1`, of the first segment that has one; None when absent or null.

        Raises:
            ValueError: the path is not of that form.
        """
        return next(self._values(path), None)

    def values(self, path: str) -> tuple[str, ...]:
        """Every value at a path, of all segments and repetitions, each once."""
        return tuple(dict.fromkeys(self._values(path)))

    def _values(self, path: str) -> Iterator[str]:
        name, field, component = parse_path(path)
        for segment in self.all(name):
            for value in self.repetitions(segment, field):
                found = self.part(value, component)
                if found:
                    yield found

    def repetitions(self, segment: Segment, field: int) -> list[str]:
        """The repetitions of a field, for `part`."""
        whole = segment[field] if field < len(segment) else ""
        if segment[0] == "MSH" and field <= 2:
            return [whole]
        return [] if whole in ("", NULL) else whole.split(self._delimiters[1])

    def part(self, value: str, component: int, subcomponent: int = 1) -> str | None:
        """A component of a repetition, escapes resolved; None when absent."""
        raw = _at(_at(value, self._delimiters[0], component), self._delimiters[3], subcomponent)
        text = self._unescaped(raw).strip()
        return None if text in ("", NULL) else text

    @property
    def _delimiters(self) -> str:
        """Component, repetition, escape and subcomponent (MSH-2)."""
        return self.segments[0][2]

    def _unescaped(self, raw: str) -> str:
        component, repetition, escape, subcomponent = tuple(self._delimiters[:4])
        if escape not in raw:
            return raw
        plain: dict[str, str] = {
            "F": self.segments[0][1],
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
        """Sending application and facility (MSH-3.1, MSH-4.1; their universal ids where they have no names)."""
        return self.get("MSH-3.1") or self.get("MSH-3.2"), self.get("MSH-4.1") or self.get("MSH-4.2")

    @property
    def trigger(self) -> tuple[str, str]:
        """Message code and trigger event, for example ("SIU", "S12")."""
        return self.get("MSH-9.1") or "", self.get("MSH-9.2") or self.get("EVN-1") or ""

    @property
    def version(self) -> str:
        return self.get("MSH-12.1") or ""


def _at(value: str, delimiter: str, number: int) -> str:
    """The part of a number, from 1. What has no delimiter in it is its own first part."""
    parts = value.split(delimiter, number)
    return parts[number - 1] if number <= len(parts) else ""


def read(data: bytes) -> Message:
    """Read a whole message in its own character set.

    Raises:
        NotHl7: as `read_text`, or its character set cannot be read.
    """
    return read_text(*text_of(data))


def text_of(data: bytes) -> tuple[str, frozenset[str]]:
    """The text of a message with its segments ended as the standard has it, and its departures.

    Raises:
        NotHl7: its character set cannot be read.
    """
    text, named = decoded(data)
    text, departures = lines.ended(text)
    return text, named | departures


def read_text(text: str, departures: frozenset[str] = frozenset()) -> Message:
    """Read a whole message; `text` as of `text_of`.

    The frame says where a message ends, so its last segment may lack its end; but not where segments are missing.

    Raises:
        NotHl7: it does not begin with MSH, is cut off, or a line is no segment.
    """
    _check_header(text)
    found = lines.segments(text)
    if sum(fields[0] == "MSH" for fields in found) > 1:
        raise NotHl7("a second MSH segment: send each message in a frame of its own, or a batch with BHS and BTS")
    message = Message((_numbered(found[0], text[3]), *found[1:]), departures)
    needed = LAST_NEEDED.get(message.trigger[0], ("PID",))
    if not text.endswith("\r") and not any(fields[0] in needed for fields in found):
        raise NotHl7(f"the message is cut off: it ends within its {found[-1][0]} segment, before {' or '.join(needed)}")
    return message


def header_of(data: bytes) -> Message | None:
    """What stands in the MSH segment of bytes that may be unreadable otherwise, so that an answer names what it answers."""
    start = data.find(b"MSH", 0, HEAD)
    if start < 0:
        return None
    head = re.split(rb"[\r\n]", data[start : start + HEAD], maxsplit=1)[0]
    try:
        line, _ = decoded(head)
    except NotHl7:
        line = head.decode("latin-1")
    if len(line) <= DELIMITERS or line[3].isalnum():
        return None
    fields = _numbered(line.split(line[3]), line[3])
    if len(fields[2]) < DELIMITERS - 1:
        fields[2] = "^~\\&"
    return Message((fields,))


def _numbered(header: Segment, separator: str) -> Segment:
    """MSH as the standard numbers it: its first field is the separator."""
    return [header[0], separator, *header[1:]]


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
    Fractions of a second are left out, with or without their point.

    Raises:
        NotUsable: not a time stamp, without an hour, or a local time that the clocks left out.
    """
    found = TIME.match(value)
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


def day_alone(value: str) -> bool:
    """True for a date without a time of day."""
    found = TIME.match(value)
    return found is not None and found.group(4) is None and not found.group(7)


def _offset(text: str, path: str) -> timezone:
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
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
