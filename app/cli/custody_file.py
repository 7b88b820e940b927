"""Chains of identity as a file that can be checked without the database: one JSON object per line, no patient identity.

The head comes first: counts and a seal made with the installation's key. Every link and then every index entry follow.
Each line after the head is covered by a hash.
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
    """The file is not a valid export; the message names the line and the error."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True, strict=True)


class LinkLine(_Line):
    """One link of a chain as hashed."""

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
    """One entry of the index as hashed."""

    position: int
    encounter_id: str
    length: int
    head: str
    recorded_at: AwareDatetime
    previous_hash: str
    hash: str


class Head(_Line):
    """Describes the file. `encounter` None means all encounters; `seal` is a keyed hash over the other members."""

    format: Literal["cart-encounter custody 1"] = "cart-encounter custody 1"
    exported_at: AwareDatetime
    encounter: str | None
    records: int
    entries: int
    index_head: str
    seal: str = ""

    def sealed_with(self, keys: Keyring) -> str:
        """Returns the seal of these members with a key."""
        return keys.digest("custody-export", self.model_dump_json(exclude={"seal"}))


class CustodyFile(BaseModel):
    """A parsed export."""

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
    """Yields the lines of an export."""
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
    """Reads an export.

    Raises:
        CustodyFileError: the file or a line is not a valid export; the message names the line.
        OSError: the file cannot be read.
    """
    return parse_lines(path.read_text(encoding="utf-8").splitlines())


def parse_lines(lines: Iterable[str]) -> CustodyFile:
    """Reads an export from its lines.

    Raises:
        CustodyFileError: a line is not valid; the message names it.
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
                raise ValueError("lines out of order; expected head, records, index")
        except (ValidationError, ValueError) as error:
            raise CustodyFileError(f"line {number}: {_plain(error)}") from None
    if not heads:
        raise CustodyFileError("line 1: not a chain-of-identity export; create one with `cart-encounter export`")
    return CustodyFile(head=heads[0], links=links, entries=entries)


def miscounted(file: CustodyFile) -> str:
    """Returns what contradicts the head: wrong order, wrong counts or wrong index head; empty if nothing does."""
    places = [(link.encounter_id, link.position) for link in file.links]
    if places != sorted(places):
        number = next(n for n, (one, two) in enumerate(pairwise(places), start=2) if two < one)
        return f"record {number} of the file was moved after the export"
    if (len(file.links), len(file.entries)) != (file.head.records, file.head.entries):
        return f"exported {file.head.records} records and {file.head.entries} index entries; some are missing or were added"
    last = file.entries[-1].hash if file.entries else GENESIS
    return "" if last == file.head.index_head else "the last index entry is not the exported one"


def _line(name: str, body: BaseModel) -> str:
    return json.dumps({name: body.model_dump(mode="json")}, separators=(",", ":"))


def _object(line: str) -> Mapping[str, Any]:
    body = json.loads(line)
    if not isinstance(body, dict) or len(body) != 1:
        raise ValueError("expected one object with one member")
    return body


def _plain(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
