"""What is read of a transaction piece by piece: where it stands, the piece that is open, and its text to be set apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.billing.x12.entries import NotUsable
from domain.billing.x12.interchange import Segment

LARGEST_CLAIM = 20_000
"""Segments of one claim; a claim of 999 lines with ten segments each has half as many."""
LARGEST_CLAIM_CHARACTERS = 4 * 1024 * 1024
_BEYOND_LATIN = "\xff"


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of the transaction that is read."""

    interchange: Segment
    group: Segment
    transaction: Segment

    def envelope(self, *pieces: Iterable[Segment]) -> str:
        """The segments as an interchange of their own, in the separators they came with; a character is a byte."""
        marks = self.interchange.separators
        body = [segment.text for piece in pieces for segment in piece]
        join, end = marks.element.join, marks.segment
        lines = [
            *(self.interchange.text, self.group.text, self.transaction.text),
            *body,
            join(("SE", str(len(body) + 2), self.transaction.at(2))),
            join(("GE", "1", self.group.at(6))),
            join(("IEA", "1", self.interchange.at(13))),
        ]
        text = "".join(f"{line}{end}" for line in lines)
        latin = all(character <= _BEYOND_LATIN for character in text)
        return text if latin and not text.isascii() else text.encode().decode("latin-1")


def alone(interchange: Segment, segment: Segment) -> str:
    """A segment of an interchange that belongs to no group, in an interchange of its own."""
    marks = interchange.separators
    trailer = marks.element.join(("IEA", "0", interchange.at(13)))
    return "".join(f"{line}{marks.segment}" for line in (interchange.text, segment.text, trailer))


class Piece:
    """The segments of one claim, up to a bound."""

    def __init__(self, first: Segment) -> None:
        self.segments: list[Segment] = []
        self._characters = 0
        self.add(first)

    @property
    def head(self) -> Segment:
        return self.segments[0]

    def add(self, segment: Segment) -> None:
        """
        Raises:
            NotUsable: the claim is larger than any claim can be.
        """
        self.segments.append(segment)
        self._characters += sum(map(len, segment.elements))
        if len(self.segments) > LARGEST_CLAIM or self._characters > LARGEST_CLAIM_CHARACTERS:
            raise NotUsable(f"a claim of it has more than {LARGEST_CLAIM} segments or {LARGEST_CLAIM_CHARACTERS} bytes")


def named(segments: Sequence[Segment], *tags: str) -> list[Segment]:
    """The segments of these names."""
    return [segment for segment in segments if segment.tag in tags]


def split(segments: Sequence[Segment], tag: str) -> list[list[Segment]]:
    """The parts that begin with the tag; what stands before the first is left out."""
    parts: list[list[Segment]] = []
    for segment in segments:
        if segment.tag == tag:
            parts.append([])
        if parts:
            parts[-1].append(segment)
    return parts
