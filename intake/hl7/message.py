"""Reading an HL7 v2 message: segments, fields, components, escapes. Versions 2.3 to 2.5.1 read alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

MINIMAL_HEADER = 8
DELIMITERS = 5
NULL = '""'
"""What a sender writes to delete a value; read as absent."""

_TIME = re.compile(r"^(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,4})?)?)?)?([+-]\d{4})?$")
_PATH = re.compile(r"^([A-Z][A-Z0-9]{2})-(\d{1,2})(?:\.(\d{1,2}))?$")
_ESCAPE = re.compile(r"\\([FSTRE]|X[0-9A-Fa-f]+|\.br|H|N)\\")


class NotHl7(ValueError):
    """The bytes are no whole HL7 v2 message; the message repeats nothing of them."""


class NotUsable(ValueError):
    """The message can be read but not used; says which field is at fault, never its value."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One line. Fields are numbered as the standard numbers them; MSH-1 is the separator itself."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message with its own delimiters."""

    segments: tuple[Segment, ...]
    component: str
    repetition: str
    escape: str
    subcomponent: str
    separator: str

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of a name."""
        return (segment for segment in self.segments if segment.name == name)

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

    def repetitions(self, segment: Segment, field: int) -> list[str]:
        """The raw repetitions of a field."""
        raw = segment.fields[field] if field < len(segment.fields) else ""
        return [] if raw in ("", NULL) else raw.split(self.repetition)

    def part(self, value: str, component: int) -> str | None:
        """A component of a raw field, escapes resolved; None when absent."""
        parts = value.split(self.component)
        raw = parts[component - 1] if component <= len(parts) else ""
        raw = raw.split(self.subcomponent)[0]
        text = self._unescaped(raw).strip()
        return None if text in ("", NULL) else text

    def _unescaped(self, raw: str) -> str:
        if self.escape not in raw:
            return raw
        plain = {"F": self.separator, "S": self.component, "T": self.subcomponent, "R": self.repetition}

        def resolve(found: re.Match[str]) -> str:
            code = found.group(1)
            if code.startswith("X"):
                digits = code[1:]
                return bytes.fromhex(digits).decode("latin-1") if len(digits) % 2 == 0 else ""
            return plain.get(code, self.escape if code == "E" else " " if code == ".br" else "")

        return _ESCAPE.sub(resolve, raw.replace(self.escape, "\\"))

    @property
    def control_id(self) -> str:
        return self.get("MSH-10") or ""

    @property
    def trigger(self) -> tuple[str, str]:
        """Message code and trigger event, for example ("SIU", "S12")."""
        return self.get("MSH-9.1") or "", self.get("MSH-9.2") or self.get("EVN-1") or ""

    @property
    def version(self) -> str:
        return self.get("MSH-12.1") or ""


def parse_path(path: str) -> tuple[str, int, int]:
    """Segment, field and component of a path such as `PID-3` or `SCH-8.1`.

    Raises:
        ValueError: it is not of that form.
    """
    found = _PATH.match(path)
    if found is None:
        raise ValueError("a field path is written like SCH-8.1")
    return found.group(1), int(found.group(2)), int(found.group(3) or 1)


def read(data: bytes) -> Message:
    """Read a whole message.

    A message ends with a segment end; one that does not was cut off somewhere, and none of it is believed.

    Raises:
        NotHl7: it does not begin with MSH, is cut off, or a line is no segment.
    """
    text = text_of(data)
    if not text.startswith("MSH") or len(text) < MINIMAL_HEADER:
        raise NotHl7("a message begins with an MSH segment")
    separator = text[3]
    encoding = text[4:].split(separator, 1)[0]
    if len(encoding) < DELIMITERS - 1 or len(set(separator + encoding[:4])) != DELIMITERS or encoding[:4].isalnum():
        raise NotHl7("MSH-1 and MSH-2 do not name five different delimiters")
    if not text.endswith("\r"):
        raise NotHl7("the message is cut off: its last segment has no end")
    lines = [line for line in text.split("\r") if line]
    segments = tuple(_segment(line, separator) for line in lines)
    return Message(
        segments,
        component=encoding[0],
        repetition=encoding[1],
        escape=encoding[2],
        subcomponent=encoding[3],
        separator=separator,
    )


def text_of(data: bytes) -> str:
    """UTF-8, or Latin-1 where a sender of old still uses it; line feeds beside carriage returns are tolerated."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\r").replace("\n", "\r").lstrip("\ufeff")


def _segment(line: str, separator: str) -> Segment:
    parts = line.split(separator)
    name = parts[0]
    if len(name) != 3 or not name.isascii() or not name.isalnum() or not name[0].isupper():
        raise NotHl7("a line does not begin with the name of a segment")
    if name == "MSH":
        return Segment(name, (name, separator, *parts[1:]))
    return Segment(name, tuple(parts))


def moment(value: str, zone: ZoneInfo, path: str) -> datetime:
    """A time stamp with at least its hour, in its own offset or in the site's zone.

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
    if local.astimezone(timezone.utc).astimezone(zone).replace(tzinfo=None) != naive:  # noqa: UP017
        raise NotUsable(f"{path}: the clocks were set forward over this hour; send it with its offset")
    return local


def _offset(text: str, path: str) -> timezone:
    hours, minutes = int(text[1:3]), int(text[3:5])
    if hours > 14 or minutes > 59:
        raise NotUsable(f"{path}: no such offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
