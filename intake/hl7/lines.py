"""Segments and their ends. The standard ends each with a carriage return; the MSH segment shows what the sender does.

Where segments end with a carriage return (or with both), a line feed inside of a field is data; where they end with a line
feed, it is the end. A line without a single field separator that names no segment is the rest of a text that was broken.
"""

from __future__ import annotations

import re

from intake.faults import NotHl7

NO_END, LINE_FEED_ENDS, BREAK_IN_FIELD = "no_return_at_end", "line_feed_after_segments", "line_break_in_field"
MARK = "\ufeff"
NAME = re.compile(r"^[A-Z][A-Za-z0-9]{2}$", re.ASCII)
_FIRST_END = re.compile(r"\r\n|\r|\n")


def ended(text: str) -> tuple[str, frozenset[str]]:
    """The text with a carriage return after each segment (none after the last where the sender put none), and departures."""
    text = text.removeprefix(MARK).lstrip("\r\n")
    first = _FIRST_END.search(text)
    if first is None:
        return text, frozenset({NO_END})
    end = "\n" if first.group() == "\n" else "\r"
    departures = set() if first.group() == "\r" else {LINE_FEED_ENDS}
    whole = text.rstrip("\n").endswith("\r") or (end == "\n" and text.endswith("\n"))
    lines: list[str] = []
    for piece in text.split(end):
        line = piece.strip("\r\n")
        if not line:
            continue
        if "\n" in line or "\r" in line:
            departures.add(BREAK_IN_FIELD)
            line = line.replace("\r", "\n")
        if lines and _is_rest(line, text[3:4]):
            departures.add(BREAK_IN_FIELD)
            lines[-1] += "\n" + line
        else:
            lines.append(line)
    if not whole:
        departures.add(NO_END)
    return "\r".join(lines) + ("\r" if whole else ""), frozenset(departures)


def _is_rest(line: str, separator: str) -> bool:
    return bool(separator) and separator not in line and not NAME.match(line)


def segments(text: str) -> list[list[str]]:
    """The segments of `ended` text, each as its fields.

    Raises:
        NotHl7: a line is none.
    """
    found = [line.split(text[3]) for line in text.split("\r") if line]
    if not all(NAME.match(fields[0]) for fields in found):
        raise NotHl7("a line does not begin with the name of a segment")
    return found
