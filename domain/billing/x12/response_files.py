"""Files that payers send back, read into events: 999, 277CA and 835 (005010X231A1, 005010X214, 005010X221A1).

A file counts as a whole: one that is cut off, does not keep to its guide or does not balance gives nothing. Reasons name
segments, never a value of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from domain.billing.x12.acknowledgements import read_277ca, read_999
from domain.billing.x12.entries import Entry, NotUsable, Segment
from domain.billing.x12.remittances import check_balance, read_835
from domain.billing.x12.validation import guide_findings

_HEADER = 106
"""Characters of an interchange header: it is fixed in width and names its own delimiters."""
_REMITTANCE = "HP"
_READERS = {"FA": read_999, "HN": read_277ca, _REMITTANCE: read_835}
"""By the functional identifier of the group (GS01)."""
_TOLERATED = frozenset({"HL Billing Provider of Service Level is missing"})
"""A 277CA that refuses a whole transmission ends at the receiver's level; the map asks for the levels beneath."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A file as read: who sent it, its own number, when it was made, what it says."""

    sender: str
    number: str
    test: bool
    made: datetime
    entries: tuple[Entry, ...]


def read(file: str, zone: tzinfo) -> Answers:
    """Read a file.

    Args:
        file: ASCII text.
        zone: of the times in the file, which carry none.

    Raises:
        NotUsable: torn, foreign, against its guide, out of balance, or about no claim.
    """
    segments = _segments(file)
    if findings := [finding for finding in guide_findings(file) if finding not in _TOLERATED]:
        raise NotUsable("against its guide: " + "; ".join(findings[:3]))
    isa, groups = segments[0], [s for s in segments if s[0] == "GS"]
    if any(group[1] == _REMITTANCE for group in groups):
        check_balance(file.lstrip())
    entries = tuple(entry for kind, body in _transactions(segments) for entry in _READERS[kind](body))
    if not entries:
        raise NotUsable("it answers no claim")
    made = datetime.strptime(groups[0][4] + groups[0][5][:4], "%Y%m%d%H%M").replace(tzinfo=zone)
    return Answers(isa[6].strip(), isa[13], isa[15] == "T", made, entries)


def _segments(file: str) -> list[Segment]:
    text = file.lstrip("\ufeff\r\n ")
    if not text.startswith("ISA"):
        raise NotUsable("it is no X12 interchange")
    if len(text) < _HEADER:
        raise NotUsable("its header is cut off", torn=True)
    element, end = text[3], text[_HEADER - 1]
    found: list[Segment] = [part.strip("\r\n").split(element) for part in text.split(end) if part.strip()]
    if found[-1][0] != "IEA" or not text.rstrip().endswith(end):
        raise NotUsable("it ends before its trailer", torn=True)
    kinds = {segment[1] for segment in found if segment[0] == "GS"}
    if any(segment[0] == "TA1" and segment[4:5] == ["R"] for segment in found):
        raise NotUsable(
            "it is a TA1: our interchange was refused before anything in it was read; correct it and send it again"
        )
    if not kinds or kinds - _READERS.keys():
        raise NotUsable("it is neither 999 nor 277CA nor 835")
    return found


def _transactions(segments: Sequence[Segment]) -> Iterator[tuple[str, list[Segment]]]:
    kind = ""
    body: list[Segment] = []
    for segment in segments:
        if segment[0] == "GS":
            kind = segment[1]
        if segment[0] == "ST":
            body = []
        body.append(segment)
        if segment[0] == "SE":
            yield kind, body
