"""Sample messages held against a site's mapping, nothing stored: what each would become, and where it departs.

A format takes part with one entry of `FORMATS`. It is known by how a file begins, never by the file's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.site import Site
from intake.fhir import mapping_check as fhir
from intake.hl7 import mapping_check as hl7
from intake.site_mapping import SiteMapping

HEAD = 4096


@dataclass(frozen=True, slots=True)
class Checked:
    """What one message of a file would become.

    Attributes:
        what: its trigger, resource type or transaction set.
        outcome: event types, or a word: merge, ignored, retained, refused, quarantined.
        bad: True where it would be refused, or would be a person's work.
    """

    number: int
    what: str
    outcome: str
    detail: str
    departures: tuple[str, ...]
    bad: bool


Check = Callable[[Path], Iterator[Checked]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of messages.

    Attributes:
        begins: whether a file that begins with these bytes is of it.
        checker: for the files of one run, what each message of a file would become. Files follow each other as on a feed.
    """

    name: str
    begins: Callable[[bytes], bool]
    checker: Callable[[SiteMapping, Site], Check]


def _is_hl7(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n\x0b")[:3] in (b"MSH", b"BHS", b"FHS")


def _hl7(mapping: SiteMapping, _site: Site) -> Check:
    seen = hl7.Seen()

    def check(file: Path) -> Iterator[Checked]:
        for one in hl7.check(file.read_bytes(), mapping, seen):
            yield Checked(one.number, one.trigger, one.outcome, one.detail, one.departures, one.bad)

    return check


def _is_fhir(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and b'"resourceType"' in head


def _fhir(mapping: SiteMapping, _site: Site) -> Check:
    seen = fhir.Seen()

    def check(file: Path) -> Iterator[Checked]:
        for one in fhir.check(file.read_bytes(), mapping, seen):
            yield Checked(one.number, one.kind, one.outcome, one.detail, one.departures, one.bad)

    return check


FORMATS: tuple[Format, ...] = (Format("hl7", _is_hl7, _hl7), Format("fhir", _is_fhir, _fhir))


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files that are named, and all of the directories that are, in order; hidden ones are left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(one for one in path.rglob("*") if one.is_file() and not _hidden(one.relative_to(path)))
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def format_of(file: Path) -> Format | None:
    """The format of a file, or None.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    return next((one for one in FORMATS if one.begins(head)), None)
