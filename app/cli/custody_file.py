"""The chains of identity as a file that can be checked anywhere: one JSON object a line, no database, no identity.

First the head (what is in the file, sealed with the installation's key), then every link, then the entries of the index. A
record is a line; every line but the head is covered by a hash, and the head's counts say how many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from domain.custody.ledger import GENESIS, Indexed, Linked
from store.keys import Keyring


class CustodyFileError(ValueError):
    """The file cannot be read as an export; names the line and what is wrong with it."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, strict=True)


class LinkLine(_Line):
    """One link of a chain, as it was hashed."""

    encounter_id: str
    position: int
    key: str
    kind: str
    occurred: AwareDatetime
    recorded_at: AwareDatetime
    content: str
    previous_hash: str
    hash: str


class EntryLine(_Line):
    """One entry of the index, as it was hashed."""

    position: int
    encounter_id: str
    length: int
    head: str
    recorded_at: AwareDatetime
    previous_hash: str
    hash: str


class Head(_Line):
    """What the file holds. `encounter` None: everything. `seal` is a keyed hash over the other members."""

    format: Literal["cart-encounter custody 1"] = "cart-encounter custody 1"
    exported_at: AwareDatetime
    encounter: str | None
    records: int
    entries: int
    index_head: str
    seal: str = ""

    def sealed_with(self, keys: Keyring) -> str:
        """The seal that a key gives these members."""
        return keys.digest("custody-export", self.model_dump_json(exclude={"seal"}))


class CustodyFile(BaseModel):
    """An export that was read."""

    head: Head
    links: list[LinkLine]
    entries: list[EntryLine]


def write_lines(
    keys: Keyring,
    links: Sequence[Linked],
    entries: Sequence[Indexed],
    encounter: str | None,
    exported_at: datetime,
) -> Iterator[str]:
    """The lines of an export."""
    head = Head(
        exported_at=exported_at,
        encounter=encounter,
        records=len(links),
        entries=len(entries),
        index_head=entries[-1].hash if entries else GENESIS,
    )
    yield _line("head", head.model_copy(update={"seal": head.sealed_with(keys)}))
    in_order = sorted(links, key=lambda link: (link.encounter_id, link.position))
    yield from (_line("record", LinkLine.model_validate(link)) for link in in_order)
    yield from (_line("index", EntryLine.model_validate(entry)) for entry in entries)


def read_custody_file(path: Path) -> CustodyFile:
    """Read an export.

    Raises:
        CustodyFileError: not an export, or a line that is none of one; names the line.
        OSError: the file cannot be read.
    """
    return parse_lines(path.read_text(encoding="utf-8").splitlines())


def parse_lines(lines: Iterable[str]) -> CustodyFile:
    """`read_custody_file` on lines.

    Raises:
        CustodyFileError: as there.
    """
    heads: list[Head] = []
    links: list[LinkLine] = []
    entries: list[EntryLine] = []
    for number, line in enumerate(lines, start=1):
        try:
            name, body = next(iter(_object(line).items()))
            if name == "head" and number == 1:
                heads.append(Head.model_validate_json(json.dumps(body)))
            elif name == "record" and not entries:
                links.append(LinkLine.model_validate_json(json.dumps(body)))
            elif name == "index":
                entries.append(EntryLine.model_validate_json(json.dumps(body)))
            else:
                raise ValueError("head, record and index stand in this order")
        except (ValidationError, ValueError) as error:
            raise CustodyFileError(f"line {number}: {_plain(error)}") from None
    if not heads:
        raise CustodyFileError("line 1: not an export of the chain of identity")
    return CustodyFile(head=heads[0], links=links, entries=entries)


def miscounted(file: CustodyFile) -> str:
    """What the head says of the file's content that is not so, or which record stands in another place; empty if none."""
    places = [(link.encounter_id, link.position) for link in file.links]
    if places != sorted(places):
        number = next(n for n, (one, two) in enumerate(pairwise(places), start=2) if two < one)
        return f"record {number} of the file stands in another place than it was exported to"
    if (len(file.links), len(file.entries)) != (file.head.records, file.head.entries):
        return f"{file.head.records} records and {file.head.entries} index entries were exported; some are missing or added"
    last = file.entries[-1].hash if file.entries else GENESIS
    return "" if last == file.head.index_head else "the index does not end where it ended when it was exported"


def _line(name: str, body: BaseModel) -> str:
    return json.dumps({name: body.model_dump(mode="json")}, separators=(",", ":"))


def _object(line: str) -> Mapping[str, Any]:
    body = json.loads(line)
    if not isinstance(body, dict) or len(body) != 1:
        raise ValueError("one object with one member is wanted")
    return body


def _plain(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
