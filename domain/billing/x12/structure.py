"""The envelopes of an interchange: groups and transactions, counted and numbered as their trailers state.

Trailers are how a lost or repeated segment is found: what they count or number otherwise is refused.
"""

from __future__ import annotations

from enum import Enum, auto

from domain.billing.x12.entries import NotUsable
from domain.billing.x12.interchange import Segment


class Place(Enum):
    """Where a segment stands."""

    INTERCHANGE = auto()
    GROUP = auto()
    TRANSACTION = auto()
    INSIDE = auto()
    END_OF_TRANSACTION = auto()
    END_OF_GROUP = auto()
    END_OF_INTERCHANGE = auto()
    ACKNOWLEDGMENT = auto()


_BETWEEN = frozenset({"ISA", "IEA", "GS", "GE", "ST", "SE", "TA1"})


class Structure:
    """Follows the segments of a file; `interchange`, `group` and `transaction` are the headers that are open."""

    def __init__(self) -> None:
        self.interchange: Segment | None = None
        self.group: Segment | None = None
        self.transaction: Segment | None = None
        self._groups = self._transactions = self._segments = 0

    def place(self, segment: Segment) -> Place:
        """Where the segment stands.

        Raises:
            NotUsable: it does not belong there, or a trailer counts or numbers otherwise.
        """
        if self.transaction is not None:
            self._segments += 1
        if segment.tag not in _BETWEEN:
            if self.transaction is None:
                raise NotUsable(f"{segment.tag} is outside of a transaction")
            return Place.INSIDE
        return self._between(segment)

    def _between(self, segment: Segment) -> Place:
        tag = segment.tag
        if tag == "ISA" and self.interchange is None:
            self.interchange, self._groups = segment, 0
            return Place.INTERCHANGE
        if tag == "TA1" and self.interchange is not None and self.group is None:
            return Place.ACKNOWLEDGMENT
        if tag == "GS" and self.interchange is not None and self.group is None:
            self.group, self._transactions = segment, 0
            self._groups += 1
            return Place.GROUP
        if tag == "ST" and self.group is not None and self.transaction is None:
            self.transaction, self._segments = segment, 1
            self._transactions += 1
            return Place.TRANSACTION
        if tag == "SE" and self.transaction is not None:
            _compare(segment, self._segments, self.transaction.at(2), "ST02")
            self.transaction = None
            return Place.END_OF_TRANSACTION
        if tag == "GE" and self.group is not None and self.transaction is None:
            _compare(segment, self._transactions, self.group.at(6), "GS06")
            self.group = None
            return Place.END_OF_GROUP
        if tag == "IEA" and self.interchange is not None and self.group is None:
            _compare(segment, self._groups, self.interchange.at(13), "ISA13")
            self.interchange = None
            return Place.END_OF_INTERCHANGE
        raise NotUsable(f"{tag} is out of place: a header or trailer is missing")


def _compare(trailer: Segment, counted: int, number: str, header: str) -> None:
    stated = whole_number(trailer.at(1))
    if stated != counted:
        raise NotUsable(f"{trailer.tag}01 counts {stated if stated is not None else 'nothing'}, {counted} came")
    if not _same(trailer.at(2), number):
        raise NotUsable(f"{trailer.tag}02 is not the number of its header ({header})")


def _same(one: str, other: str) -> bool:
    """Numbers are compared without leading zeros."""
    first, second = whole_number(one), whole_number(other)
    return one == other or (first is not None and first == second)


def whole_number(text: str) -> int | None:
    """A number of at most eighteen ASCII digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
