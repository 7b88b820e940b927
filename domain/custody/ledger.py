"""The links of the chains of identity, the index over them, and the check for the first break.

Each link is hashed with its content, its encounter and the link before it. Each time a chain grows, the index gets an
entry that names its new length and last hash, and is hashed with the entry before it: so a shortened chain and a missing
encounter are found, too. Hashes prove order and completeness, not truth. A correction is a new link that
names the one it corrects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

GENESIS = "0" * 64


class Linked(Protocol):
    """One link: what is hashed, and the hash. `content` is the canonical text, byte for byte."""

    encounter_id: str
    position: int
    key: str
    kind: str
    occurred: datetime
    recorded_at: datetime
    content: str
    previous_hash: str
    hash: str


class Indexed(Protocol):
    """One entry of the index: a chain had `length` links, the last of them with the hash `head`."""

    position: int
    encounter_id: str
    length: int
    head: str
    recorded_at: datetime
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """The first break. `encounter_id` is None for the index itself; positions count from 1."""

    encounter_id: str | None
    position: int
    what: str


def link_hash(link: Linked) -> str:
    """SHA-256 over every field of a link but the hash, with unambiguous separators; times in UTC."""
    moments = (link.occurred, link.recorded_at)
    said = (link.encounter_id, link.previous_hash, link.position, link.key, link.kind, link.content)
    return _digest([*said, *map(_utc, moments)])


def entry_hash(entry: Indexed) -> str:
    """SHA-256 over every field of an entry but the hash."""
    said = (entry.previous_hash, entry.position, entry.encounter_id, entry.length, entry.head)
    return _digest([*said, _utc(entry.recorded_at)])


def check_chain(links: Sequence[Linked]) -> Break | None:
    """The first broken link of a chain, in the order given; None when there is none."""
    previous = GENESIS
    for expected, link in enumerate(links, start=1):
        what = _fault(link, expected, previous, links[0].encounter_id)
        if what:
            return Break(links[0].encounter_id, expected, what)
        previous = link.hash
    return None


def check_index(entries: Iterable[Indexed], whole: bool = True) -> Break | None:
    """The first broken entry of the index.

    Args:
        whole: the entries are the whole index; else those of one encounter, each of which is checked for itself.
    """
    previous, last = GENESIS, 0
    for number, entry in enumerate(entries, start=1):
        follows = entry.position == number and entry.previous_hash == previous if whole else entry.position > last
        if not follows:
            return Break(None, number, "an entry is missing, was inserted, or is out of place")
        if entry.hash != entry_hash(entry):
            return Break(None, entry.position, "the entry is not what was written")
        previous, last = entry.hash, entry.position
    return None


def check_against_index(chains: Mapping[str, Sequence[Linked]], entries: Iterable[Indexed]) -> Iterator[Break]:
    """Differences between the index and the chains, one break for each encounter."""
    lengths: dict[str, int] = {}
    said: set[str] = set()
    for entry in entries:
        chain = chains.get(entry.encounter_id, ())
        lengths[entry.encounter_id] = max(entry.length, lengths.get(entry.encounter_id, 0))
        what = _against(entry, chain)
        if what and entry.encounter_id not in said:
            said.add(entry.encounter_id)
            yield Break(entry.encounter_id, min(entry.length, len(chain) + 1), what)
    for encounter, chain in chains.items():
        known = lengths.get(encounter, 0)
        if len(chain) > known and encounter not in said:
            yield Break(encounter, known + 1, "a record is not in the index")


def check_ledger(
    chains: Mapping[str, Sequence[Linked]], entries: Sequence[Indexed], whole: bool = True
) -> tuple[Break, ...]:
    """The first break of each chain and of the index; empty when there is none."""
    found = [broken for chain in chains.values() if (broken := check_chain(chain))]
    in_index = check_index(entries, whole)
    named = {broken.encounter_id for broken in found}
    beside = [] if in_index else [b for b in check_against_index(chains, entries) if b.encounter_id not in named]
    return (*found, *beside, *((in_index,) if in_index else ()))


def _fault(link: Linked, expected: int, previous: str, encounter: str) -> str:
    if link.position != expected or link.encounter_id != encounter:
        return "a record is missing, was inserted, or is out of place"
    if link.previous_hash != previous:
        return "the record does not follow the one before it"
    return "" if link.hash == link_hash(link) else "the record is not what was written"


def _against(entry: Indexed, chain: Sequence[Linked]) -> str:
    if not chain:
        return "every record of the encounter is missing"
    if len(chain) < entry.length:
        return "the last records are missing"
    return "" if chain[entry.length - 1].hash == entry.head else "the record is not the one that was indexed"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _digest(members: list[object]) -> str:
    return hashlib.sha256(json.dumps(members).encode()).hexdigest()
