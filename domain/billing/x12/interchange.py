"""Interchanges as their senders write them: segments with the separators of their own header (ISA), read as a stream.

Belongs here: the only place that knows how an interchange is cut into segments, and how segments are cut further. Does not
belong here: what a segment means. No other module names a separator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from domain.billing.x12.entries import NotUsable

VERSION = "005010"[:5]
"""Of the interchanges that the guides in use ask for (ISA12)."""
FOREIGN = "it is no X12 interchange"
CUT_OFF = "its header is cut off"
TORN = "it ends before its trailer"
LARGEST_SEGMENT = 64 * 1024
"""Bytes of a segment; the longest of a guide has some hundreds."""
_HEADER = 106
_ENDS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
"""Where the element separators of a header stand: its elements are fixed in width."""
_ELEMENTS = len(_ENDS)
_PEEK = 512
_LINE_ENDS = b"\r\n"
_BLANK = b" \t\x00\x1a"
_NOTHING = _BLANK + _LINE_ENDS
"""Bytes that mean nothing between interchanges, before the first and after the last."""
_MARK = b"\xef\xbb\xbf"
_ASCII = 0x80
_LONGEST_TAG = 3

Note = Callable[[str, str], None]
"""Takes a departure: its kind, a key, and what it is in words."""


@dataclass(frozen=True, slots=True)
class Separators:
    """The separators of one interchange, a character each. `repetition` is empty where the header names none."""

    element: str
    component: str
    repetition: str
    segment: str


class Segment:
    """A segment: its name, and its elements by their number."""

    __slots__ = ("elements", "separators")

    def __init__(self, elements: list[str], separators: Separators) -> None:
        self.elements = elements
        self.separators = separators

    @property
    def tag(self) -> str:
        return self.elements[0]

    def __len__(self) -> int:
        """The number of the last element."""
        return len(self.elements) - 1

    def at(self, index: int) -> str:
        """An element; empty where the segment ends before it."""
        return self.elements[index].strip(" ") if len(self.elements) > index else ""

    def parts(self, index: int) -> tuple[str, ...]:
        """The components of an element; at least one, which may be empty."""
        return tuple(part.strip(" ") for part in self.at(index).split(self.separators.component))

    def part(self, index: int, component: int) -> str:
        """A component by its number, from 1; empty where there is none."""
        parts = self.parts(index)
        return parts[component - 1] if len(parts) >= component else ""

    @property
    def text(self) -> str:
        """The segment as it came, without its end."""
        return self.separators.element.join(self.elements)


def segments(chunks: Iterable[bytes], note: Note = lambda kind, words: None) -> Iterator[Segment]:
    """Every segment of every interchange, in order, `ISA` and `IEA` among them.

    Args:
        chunks: the bytes of a file, in pieces of any size.
        note: is called for each departure from the standard that changes nothing.

    Raises:
        NotUsable: foreign or torn bytes, a header that names no separators, a segment without an end.
    """
    source = _Source(chunks)
    first, end = True, b""
    while _next_header(source, first, end, note):
        first = False
        header, separators = _header(source, note)
        end = separators.segment.encode("latin-1")
        yield header
        yield from _Cutter(source, header, separators, note).segments()
    if first:
        raise NotUsable(FOREIGN)


class _Source:
    """Bytes that can be looked at before they are used up."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.buffer = b""
        self.ended = False

    def fill(self, wanted: int) -> bytes:
        """The buffer, with at least so many bytes while there are any."""
        while len(self.buffer) < wanted and self.more():
            pass
        return self.buffer

    def more(self) -> bool:
        """Take the next piece in; False at the end of the file."""
        for chunk in self._chunks:
            if chunk:
                self.buffer += chunk
                return True
        self.ended = True
        return False


def _next_header(source: _Source, first: bool, end: bytes, note: Note) -> bool:
    """Go to the next header; False at the end of the file. `end`: of the segments before, which may come once too often."""
    if first and source.fill(len(_MARK)).startswith(_MARK):
        source.buffer = source.buffer[len(_MARK) :]
        note("byte_order_mark", "a byte order mark before the first byte")
    while True:
        bare = source.fill(_PEEK).lstrip(_NOTHING + end)
        skipped = source.buffer[: len(source.buffer) - len(bare)]
        if skipped.strip(_LINE_ENDS + end):
            where = "before its header" if first else "after its trailer"
            note("bytes_without_meaning", f"blanks, NUL or 1A {where}")
        source.buffer = bare
        if bare or source.ended:
            break
    if not source.buffer:
        return False
    begins = source.fill(_ENDS[0] + 1)[: _ENDS[0]]
    if begins == b"ISA":
        return True
    if first:
        raise NotUsable(FOREIGN)
    if b"ISA".startswith(begins):
        raise NotUsable(CUT_OFF, torn=True)
    raise NotUsable("after its trailer come bytes that are no interchange")


def _header(source: _Source, note: Note) -> tuple[Segment, Separators]:
    """Take the header off the source. Fixed in width, in the records of a mainframe, or with its blanks left out."""
    raw = source.fill(_PEEK)
    found = _fixed(raw, _HEADER)
    if found is None and any(end in raw[:_HEADER] for end in _LINE_ENDS):
        found = _unwrapped(raw)
        if found is not None:
            note("records", "line ends inside of segments (records of fixed length)")
    if found is None:
        found = _by_elements(raw)
        if found is not None:
            note("header_width", "its header is not of fixed width")
    if found is None:
        if len(raw) < _HEADER:
            raise NotUsable(CUT_OFF, torn=True)
        raise NotUsable("its header names no separators")
    elements, component, end, used = found
    repetition = elements[11]
    names = (raw[_ENDS[0]], component, end)
    letters = bytes(names).decode("latin-1")
    marked = len(repetition) == 1 and not _may_be_data(repetition)
    if len(set(names)) < len(names) or any(map(_may_be_data, letters)):
        raise NotUsable("its header names no separators")
    source.buffer = raw[used:]
    separators = Separators(letters[0], letters[1], repetition if marked else "", letters[2])
    return Segment([*elements, letters[1]], separators), separators


def _may_be_data(character: str) -> bool:
    return character == " " or (character.isascii() and character.isalnum())


_Found = tuple[list[str], int, int, int]
"""The first fifteen elements of a header with its name, the bytes of ISA16 and of the segment end, and its length."""


def _fixed(raw: bytes, used: int) -> _Found | None:
    if len(raw) < _HEADER or any(raw[place] != raw[_ENDS[0]] for place in _ENDS):
        return None
    elements = raw[: _HEADER - 2].decode("latin-1").split(chr(raw[_ENDS[0]]))[:_ELEMENTS]
    return elements, raw[_HEADER - 2], raw[_HEADER - 1], used


def _unwrapped(raw: bytes) -> _Found | None:
    """A header with line ends inside; its own end may be one."""
    places = [place for place, byte in enumerate(raw) if byte not in _LINE_ENDS][: _HEADER - 1]
    if len(places) < _HEADER - 1 or len(raw) <= places[-1] + 1:
        return None
    end = places[-1] + 1
    return _fixed(bytes(raw[place] for place in places) + raw[end : end + 1], end + 1)


def _by_elements(raw: bytes) -> _Found | None:
    """A header whose elements are not filled with blanks: its sixteenth separator stands before the component's."""
    mark = bytes(raw[_ENDS[0] : _ENDS[0] + 1])
    parts = raw.split(mark, _ELEMENTS)
    if len(parts) <= _ELEMENTS or len(parts[-1]) < 2:
        return None
    if any(len(part) > 15 for part in parts[:-1]):  # the widest element of a header
        return None
    used = len(raw) - len(parts[-1]) + 2
    return [part.decode("latin-1") for part in parts[:_ELEMENTS]], parts[-1][0], parts[-1][1], used


class _Cutter:
    """The segments of one interchange after its header, up to its trailer."""

    def __init__(self, source: _Source, header: Segment, separators: Separators, note: Note) -> None:
        self._source, self._header, self._separators, self._note = source, header, separators, note
        own = "".join((separators.element, separators.component, separators.repetition, separators.segment))
        bytes_of = own.encode("latin-1", "replace")
        self._element = separators.element.encode("latin-1")
        self._end = separators.segment.encode("latin-1")
        self._dropped = bytes(byte for byte in _LINE_ENDS if byte not in bytes_of)
        self._blank = bytes(byte for byte in _NOTHING if byte not in bytes_of)
        self._latin = any(byte >= _ASCII for byte in bytes_of)

    def segments(self) -> Iterator[Segment]:
        source = self._source
        while True:
            pieces = source.buffer.split(self._end)
            for number, piece in enumerate(pieces[:-1], start=1):
                segment = self._segment(piece)
                if segment is None:
                    continue
                if segment.tag == "IEA":
                    source.buffer = self._end.join(pieces[number:])
                    yield segment
                    return
                yield segment
            source.buffer = pieces[-1]
            if len(source.buffer) > LARGEST_SEGMENT:
                raise NotUsable(f"a segment has more than {LARGEST_SEGMENT} bytes")
            if not source.more():
                yield self._last()
                return

    def _segment(self, piece: bytes) -> Segment | None:
        if len(piece) > LARGEST_SEGMENT:
            raise NotUsable(f"a segment has more than {LARGEST_SEGMENT} bytes")
        bare = piece.lstrip(self._blank)
        if self._dropped:
            whole = bare.translate(None, self._dropped)
            if len(whole) != len(bare):
                self._note("records", "line ends inside of segments (records of fixed length)")
            bare = whole
        if not bare:
            return None
        elements = self._elements(bare)
        tag = elements[0]
        if not (1 < len(tag) <= _LONGEST_TAG and tag.isascii() and tag.isalnum() and tag.isupper()):
            raise NotUsable("a segment of it begins with no segment name")
        return Segment(elements, self._separators)

    def _elements(self, bare: bytes) -> list[str]:
        if bare.isascii():
            return bare.decode("ascii").split(self._separators.element)
        return [self._text(element) for element in bare.split(self._element)]

    def _text(self, element: bytes) -> str:
        """A value in one of the two character sets that senders use beside the basic one."""
        if element.isascii():
            return element.decode("ascii")
        if not self._latin:
            try:
                value = element.decode("utf-8")
            except UnicodeDecodeError:
                pass
            else:
                self._note("utf_8", "letters beyond the basic character set, in UTF-8")
                return value
        self._note("latin_1", "letters beyond the basic character set, in Latin-1")
        return element.decode("latin-1")

    def _last(self) -> Segment:
        """What stands before the end of the file: a trailer that misses its end alone, or a torn file."""
        tail = self._source.buffer.strip(self._blank)
        self._source.buffer = b""
        elements = self._elements(tail.translate(None, self._dropped)) if tail else [""]
        if elements[0] != "IEA" or len(elements) != 3 or elements[2].strip() != self._header.at(13):
            raise NotUsable(TORN, torn=True)
        self._note("last_end_missing", "the end of its last segment is missing")
        return Segment(elements, self._separators)
