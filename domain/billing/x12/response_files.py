"""Files that payers send back, read into entries: 999, 277CA, 835 and TA1 (005010X231A1, 005010X214, 005010X221A1).

A file counts as a whole: one that is torn, whose trailers count otherwise or that does not balance gives nothing. A departure
that touches neither claim nor money is named and changes nothing; a claim that cannot be read is set apart alone. Reasons name
segments, never a value of a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Protocol

from domain.billing.x12.acknowledgements import Acknowledgment, ClaimAcknowledgment, OtherAcknowledgment
from domain.billing.x12.entries import Apart, Departure, Entry, Item, NotUsable, Opened
from domain.billing.x12.fragments import Headers, alone
from domain.billing.x12.interchange import VERSION, Segment, segments
from domain.billing.x12.remittances import Remittance, date_of
from domain.billing.x12.structure import Place, Structure, whole_number
from domain.billing.x12.validation import GuideCheck
from domain.events.revenue import ClaimAcknowledged

_CHUNK = 64 * 1024
_ADDENDUM = re.compile(r"[AE]\d+$")
_UNKNOWN = "it is neither 999 nor 277CA nor 835"
_STATUS_RESPONSE = (
    "it is a 277 of claim status (005010X212), which answers a question; what answers a claim is a 277CA (005010X214)"
)

_NO_CLAIM = "it answers no claim"
_MOST_FINDINGS = 20
"""Departures from the guide that are named of one file."""
_TOLERATED = frozenset({"HL Billing Provider of Service Level is missing"})
"""A 277CA that refuses a whole transmission ends at the receiver's level; the map asks for the levels beneath."""
TA1 = "TA1"
_TA1_TAKEN = "A"
_TA1_ERRORS = "E"


class _Reader(Protocol):
    def take(self, segment: Segment) -> Iterator[Item]: ...

    def end(self) -> Iterator[Item]: ...


_GUIDES: dict[tuple[str, str], tuple[str, str, Callable[[Headers], _Reader]]] = {
    ("FA", "005010X231"): ("999", "005010X231A1", Acknowledgment),
    ("FA", "005010"): ("997", "005010", OtherAcknowledgment),
    ("HN", "005010X214"): ("277", "005010X214", ClaimAcknowledgment),
    ("HP", "005010X221"): ("835", "005010X221A1", Remittance),
}
"""By GS01 and GS08 without its addendum: ST01, the guide with its addendum, and who reads it."""
_REFUSED_GUIDES = {("HN", "005010X212"): _STATUS_RESPONSE}


class TimeLimit(Protocol):
    """How long the check of a transaction against its guide may take."""

    def begin(self) -> None: ...

    def over(self) -> bool: ...


def pieces(body: bytes | bytearray) -> Iterator[bytes]:
    """The body as a stream, without a second copy of it."""
    view = memoryview(body)
    return (bytes(view[start : start + _CHUNK]) for start in range(0, len(body), _CHUNK))


def read(chunks: Iterable[bytes], zone: tzinfo, limit: TimeLimit | None = None) -> Iterator[Item]:
    """Read a file. Nothing of it counts before its end was reached.

    Args:
        chunks: its bytes, in pieces.
        zone: of the times in the file, which carry none.
        limit: of the check of a transaction against its guide; what it leaves unchecked is named.

    Raises:
        NotUsable: torn, foreign, counted otherwise, of another guide, out of balance, or about no claim.
    """
    yield from _File(zone, limit).read(chunks)


class _Ignored:
    """A transaction that is passed over."""

    def take(self, segment: Segment) -> Iterator[Item]:
        return iter(())

    def end(self) -> Iterator[Item]:
        return iter(())


class _File:
    """One file while it is read."""

    def __init__(self, zone: tzinfo, limit: TimeLimit | None) -> None:
        self._zone, self._limit = zone, limit
        self._structure = Structure()
        self._reader: _Reader | None = None
        self._check: GuideCheck | None = None
        self._departures: dict[tuple[str, str], None] = {}
        self._findings = 0
        self._opened = False
        self._filed = False
        self._refused: list[str] = []

    def read(self, chunks: Iterable[bytes]) -> Iterator[Item]:
        for segment in segments(chunks, self._note):
            for item in self._segment(segment):
                yield from self._given(item)
        yield from self._new_departures()
        if not self._filed:
            raise NotUsable(self._refused[0] if self._refused else _NO_CLAIM)

    def _given(self, item: Item) -> Iterator[Item]:
        if isinstance(item, Departure):
            self._note(item.kind, item.words)
            self._filed = self._filed or item.kind == "acknowledgment_997"
            return
        if isinstance(item, Apart):
            self._refused.append(item.reason)
            self._note("set_apart", item.reason)
        else:
            self._filed = self._filed or isinstance(item, Entry)
        yield item

    def _note(self, kind: str, words: str) -> None:
        self._departures.setdefault((kind, words))

    def _new_departures(self) -> Iterator[Departure]:
        return (Departure(kind, words) for kind, words in self._departures)

    def _segment(self, segment: Segment) -> Iterator[Item]:
        place = self._structure.place(segment)
        if place is Place.INTERCHANGE:
            self._opened = False
            if segment.at(12) != VERSION:
                self._note("interchange_version", f"ISA12 is not {VERSION}")
        elif place is Place.ACKNOWLEDGMENT:
            yield from self._interchange_acknowledged(segment)
        elif place is Place.TRANSACTION:
            yield from self._begin(segment)
        elif place is Place.INSIDE:
            self._checked(segment)
            assert self._reader is not None
            yield from self._reader.take(segment)
        elif place is Place.END_OF_TRANSACTION:
            self._checked(segment)
            assert self._reader is not None
            yield from self._reader.end()
            self._filed = self._filed or isinstance(self._reader, Remittance)

    def _begin(self, segment: Segment) -> Iterator[Item]:
        interchange, group = self._structure.interchange, self._structure.group
        assert interchange is not None
        assert group is not None
        stated = group.at(8) or segment.at(3)
        base, kind = _ADDENDUM.sub("", stated), group.at(1)
        found = _GUIDES.get((kind, base))
        if found is None or segment.at(1) != found[0]:
            self._refused.append(_REFUSED_GUIDES.get((kind, base), _UNKNOWN))
            self._note("other_transaction", "a transaction of another kind is beside those that are read")
            self._reader, self._check = _Ignored(), None
            return
        _, guide, reader = found
        if stated != guide:
            self._note("guide_version", f"GS08 names {base} without the addendum of {guide}")
        self._reader = reader(Headers(interchange, group, segment))
        self._check = GuideCheck(guide, kind)
        if self._limit is not None:
            self._limit.begin()
        self._checked(segment)
        if not self._opened:
            self._opened = True
            yield self._open(interchange, _moment(group.at(4), group.at(5), interchange))

    def _open(self, interchange: Segment, made: datetime) -> Opened:
        test = interchange.at(15) == "T"
        return Opened(interchange.at(6), interchange.at(13), test, made.replace(tzinfo=self._zone))

    def _checked(self, segment: Segment) -> None:
        """The guide's findings on the segment, until there are many or the time is over."""
        if self._check is None:
            return
        if self._findings >= _MOST_FINDINGS:
            self._note("guide", "more departures from its guide, which are not listed")
            self._check = None
        elif self._limit is not None and self._limit.over():
            self._note("guide_unchecked", "the check against its guide did not end in its time")
            self._check = None
        else:
            for finding in self._check.findings(segment):
                if finding not in _TOLERATED and ("guide", finding) not in self._departures:
                    self._findings += 1
                    self._note("guide", finding)

    def _interchange_acknowledged(self, segment: Segment) -> Iterator[Item]:
        """TA1: our interchange was received, or refused before anything in it was read."""
        number, verdict = whole_number(segment.at(1)), segment.at(4)
        interchange = self._structure.interchange
        assert interchange is not None
        yield self._open(interchange, _moment("", "", interchange))
        if number is not None and verdict in (_TA1_TAKEN, _TA1_ERRORS):
            if verdict == _TA1_ERRORS:
                self._note("ta1_errors", f"a TA1 accepts our interchange with errors (TA105 {segment.at(5)[:3]})")
            data = {"kind": TA1, "accepted": True, "status_codes": []}
            yield Entry(ClaimAcknowledged.event_type, None, number, data)
            return
        known = "our interchange was refused before anything in it was read; correct it and send it again"
        words = f"it is a TA1: {known}" if verdict == "R" else "it is a TA1 that neither accepts nor refuses (TA104)"
        if number is None:
            words = "it is a TA1 whose TA101 is no control number: it names none of our interchanges"
        yield Apart(words, alone(interchange, segment), interchange=number)


def _moment(day: str, clock: str, interchange: Segment) -> datetime:
    """When the group was made (GS04, GS05), else its interchange (ISA09, ISA10)."""
    for date_text, time_text in ((day, clock), (interchange.at(9), interchange.at(10))):
        found = date_of(date_text)
        if found is not None and re.fullmatch(r"([01]\d|2[0-3])[0-5]\d\d{0,4}", time_text, re.ASCII):
            return datetime(found.year, found.month, found.day, int(time_text[:2]), int(time_text[2:4]))  # noqa: DTZ001
    raise NotUsable("GS04, GS05, ISA09 and ISA10 are no date and time")
