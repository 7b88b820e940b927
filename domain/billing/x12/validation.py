"""Files and transactions against the guide maps of `pyx12`, and then against what those do not see.

Findings name segment and element, never a value: it may name a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from typing import Any

import pyx12.error_handler
import pyx12.errors
import pyx12.map_if
import pyx12.map_index
import pyx12.params
import pyx12.segment
from pyx12.map_walker import walk_tree
from pyx12.x12file import X12Reader

from domain.billing.x12.audit import audit
from domain.billing.x12.interchange import VERSION, Segment

_STALE_LISTS = "claim_status,claim_status_cat,remark_code"
"""Code lists of the maps that are older than the codes in use."""
_WORDS = {
    "1": "is missing",
    "3": "is missing",
    "4": "is wrong in length or count",
    "5": "is too long",
    "6": "has a character that is not allowed",
    "7": "has a code that is not allowed",
    "8": "is no date",
    "9": "is no time",
    "10": "is not allowed beside the others",
}
_REFUSED = "is refused"
_UNKNOWN = "envelope: not a file of a guide that is known here"
_UNREADABLE = "envelope: not a readable interchange"
_NO_TRANSACTION = "envelope: no transaction in it"
_SILENT = 100
pyx12.error_handler.logger.manager.getLogger("pyx12").setLevel(_SILENT)
"""The library logs refused values; they would carry names into the logs."""

_INTERCHANGE, _GROUP, _TRANSACTION = "/ISA_LOOP", "/ISA_LOOP/GS_LOOP", "/ISA_LOOP/GS_LOOP/ST_LOOP"
_HEADERS = {"ISA": _INTERCHANGE, "GS": _GROUP, "ST": _TRANSACTION}
_CONTROL = {VERSION: f"x12.control.{VERSION}.xml"}
_OLDER_CONTROL = "x12.control.00401.xml"
_WITHOUT_LIMIT = frozenset({("PLB", "4")})
"""A provider adjustment repeats without limit; the map counts each as a loop of its own and allows one."""


@cache
def _map(name: str) -> Any:
    """The library parses a map again whenever it is asked for one; here each is read once."""
    return pyx12.map_if.load_map_file(name, _parameters())


@cache
def _guide(version: str | None, guide: str | None, kind: str | None) -> Any:
    """The map of a group; None where there is none."""
    name = _index().get_filename(version, guide, kind)
    return _map(name) if name else None


@cache
def _index() -> Any:
    return pyx12.map_index.map_index()


@cache
def _parameters() -> Any:
    found = pyx12.params.ParamsBase()
    found.set("exclude_external_codes", _STALE_LISTS)
    return found


def validate(file: str) -> list[str]:
    """What is wrong with a claim's file, empty when it passes."""
    found = guide_findings(file)
    return found if found == [_UNKNOWN] or found == [_UNREADABLE] else [*found, *audit(file)]


def guide_findings(file: str) -> list[str]:
    """Where a file departs from its guide, whatever guide it is; empty where it keeps to it."""
    try:
        return list(_whole(StringIO(file)))
    except _UnknownGuide:
        return [_UNKNOWN]
    except (
        pyx12.errors.X12Error,
        pyx12.errors.EngineError,
        IndexError,
        TypeError,
    ):  # the library reads past the end of what is torn
        return [_UNREADABLE]


class _UnknownGuide(ValueError):
    """No map for the group."""


def _whole(file: StringIO) -> Iterator[str]:
    """Every finding of a file, its envelopes among them."""
    source = X12Reader(file)
    walk = _Walk(_map(_CONTROL.get(source.icvn, _OLDER_CONTROL)))
    transactions = 0
    for segment in source:
        tag = segment.get_seg_id()
        if tag == "GS":
            guide = _guide(source.icvn, segment.get_value("GS08"), segment.get_value("GS01"))
            if guide is None:
                raise _UnknownGuide
            walk.root = guide
            source.check_837_lx = guide.id == "837"
        transactions += tag == "ST"
        found = walk.at(segment)
        yield from _counted(source.pop_errors(), tag)
        yield from found
    source.cleanup()
    yield from _counted(source.pop_errors(), "")
    if not transactions:
        yield _NO_TRANSACTION


def _counted(errors: Iterable[tuple[Any, ...]], tag: str | None) -> Iterator[str]:
    """What the library's reader counts: envelopes, levels (HL) and lines (LX)."""
    for kind, code, *_ in errors:
        yield f"{tag if kind == 'seg' else 'envelope'} {_WORDS.get(code, _REFUSED)}"


class GuideCheck:
    """One transaction against its guide, a segment at a time.

    Args:
        guide, kind: GS08 with its addendum, and GS01.
        separators: of its interchange.
    """

    def __init__(self, guide: str, kind: str) -> None:
        root = _guide(VERSION, guide, kind)
        self._walk = _Walk(root) if root is not None else None

    def findings(self, segment: Segment) -> list[str]:
        """What departs from the guide up to this segment and was not found before."""
        if self._walk is None:
            return []
        marks = segment.separators
        made = pyx12.segment.Segment(
            segment.text, marks.segment, marks.element, marks.component, marks.repetition or "\x00"
        )
        try:
            return self._walk.at(made)
        except Exception:  # noqa: BLE001 the library fails on some of what it should refuse
            return [f"{segment.tag} {_REFUSED}"]


class _Walk:
    """A place in a map, and the next one for each segment."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._walker = walk_tree()
        self._node: Any = root
        self._number = 0

    def at(self, segment: Any) -> list[str]:
        """Go to the node of the segment; what is missing before it, and what is wrong in it."""
        self._number += 1
        tag = segment.get_seg_id()
        found: list[str] = []
        loop = _HEADERS.get(tag)
        if loop is not None:
            path = f"{loop}/{tag}"
            node = self.root.getnodebypath(path)
            self._walker.forceWalkCounterToLoopStart(loop, path)
        else:
            node, _, _, errors = self._walker.walk_errors(self._node, segment, self._number, self._number, None)
            found = [self._step(error, tag) for error in errors if (tag, error.err_cde) not in _WITHOUT_LIMIT]
        if node is None:
            return found
        self._node = node
        _, errors = node.is_valid_errors(segment)
        return [*found, *(_element(error, tag) for error in errors)]

    @staticmethod
    def _step(error: Any, tag: str) -> str:
        node = error.map_node
        if error.err_cde == "1":  # a segment that has no place here
            return f"{tag} is not expected here"
        place = node.id if node is not None and node.is_segment() else tag
        name = f" {node.name}" if node is not None and node.name else ""
        return f"{place}{name} {_WORDS.get(error.err_cde, _REFUSED)}"


def _element(error: Any, tag: str) -> str:
    node = error.map_node
    if node is None:
        return f"{tag} {_REFUSED}"
    name = f" {node.name}" if node.name else ""
    return f"{_place(node, tag)}{name} {_WORDS.get(error.err_cde, _REFUSED)}"


def _place(node: Any, tag: str) -> str:
    """Segment and element, and the component where it is one."""
    if node.parent is not None and node.parent.is_composite():
        return f"{tag}{int(node.parent.seq):02d}-{int(node.seq)}"
    return f"{tag}{int(node.seq):02d}"
