"""Checking the chains of identity offline: those of a store, or those of an exported file. And exporting them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from app.cli.custody_file import CustodyFile, CustodyFileError, miscounted, read_custody_file, write_lines
from app.settings import Settings
from domain.custody.ledger import GENESIS, Break, Indexed, Linked, check_ledger
from store.engine import Database, Session
from store.identifiers import look_up
from store.keys import KeyFileError, Keyring, read_keyring
from store.queries.custody import chain_links, has_chain, index_entries
from store.tables import CustodyIndex, CustodyRecord
from store.vault import COMMAND_LINE, audit

L = TypeVar("L", bound=Linked)


def verify_store(settings: Settings, encounter: str | None, since: str | None = None) -> int:
    """Print one line per encounter and one for the index; 0 when all of it holds, 1 when something is broken or unknown.

    Args:
        encounter: an id or any identifier of one encounter; all of them when None.
        since: a head of the index that was noted earlier; what it covered must still be there.
    """
    found = _read(settings, encounter)
    return 1 if found is None else _report(*found, since)


def verify_file(settings: Settings, path: Path, encounter: str | None, since: str | None = None) -> int:
    """`verify_store` on an exported file. Its seal is checked where the installation's key file is at hand."""
    try:
        file = read_custody_file(path)
    except OSError as error:
        print(f"{path.name}: {error.strerror}", file=sys.stderr)
        return 2
    except CustodyFileError as error:
        print(f"{path.name}: first broken record at {error}")
        return 1
    links = [link for link in file.links if encounter in (None, link.encounter_id)]
    if encounter and not links:
        print(f"{encounter}: no custody records of this encounter are in the file")
        return 1
    only = encounter or file.head.encounter
    entries = [entry for entry in file.entries if only in (None, entry.encounter_id)]
    broken = _report(links, entries, only, since)
    return max(broken, _seal(settings, path, file))


def export_store(settings: Settings, path: Path, encounter: str | None) -> int:
    """Write the chains, or that of one encounter, to a new file that `verify_file` checks; 1 when the encounter is unknown.

    Raises:
        KeyFileError: the key file is not at hand; the export is sealed with it.
        FileExistsError: the file is there already.
    """
    keys, found = read_keyring(settings.key_file), _read(settings, encounter)
    if found is None:
        return 1
    links, entries, name = found
    with path.open("x", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in write_lines(keys, links, entries, name, datetime.now(UTC)))
    db = Database(settings.database)
    with db.write() as session:
        audit(session, COMMAND_LINE, "export chains", name or "(all)", "read", datetime.now(UTC))
    db.close()
    print(f"{path.name}: {len(links)} records, {len(entries)} index entries")
    return 0


def chains_of(links: Iterable[L]) -> dict[str, list[L]]:
    """Links by encounter, each in the order given; a link that stands among another encounter's breaks that chain."""
    chains: dict[str, list[L]] = {}
    for name, group in groupby(links, key=lambda link: link.encounter_id):
        chains.setdefault(name, []).extend(group)
    return chains


def _read(
    settings: Settings, encounter: str | None
) -> tuple[list[CustodyRecord], list[CustodyIndex], str | None] | None:
    """Links and entries of the store, or of one encounter with its id; None, and said, when nobody knows it."""
    db = Database(settings.database)
    try:
        with db.read() as session:
            name = _named(session, settings, encounter) if encounter else None
            if encounter and name is None:
                print(f"{encounter}: no encounter with custody records is known by this id or identifier")
                return None
            return chain_links(session, name), index_entries(session, name), name
    finally:
        db.close()


def _named(session: Session, settings: Settings, reference: str) -> str | None:
    """The encounter by its id, which needs no key, or by one of its identifiers."""
    if has_chain(session, reference):
        return reference
    try:
        found = look_up(session, read_keyring(settings.key_file), reference)
    except KeyFileError:
        return None
    return found[0] if len(found) == 1 else None


def _report(links: Sequence[Linked], entries: Sequence[Indexed], only: str | None, since: str | None) -> int:
    chains = chains_of(links)
    broken = {found.encounter_id: found for found in check_ledger(chains, entries, whole=only is None)}
    for name in sorted({*chains, *(found for found in broken if found)}):
        print(f"{name}: {len(chains.get(name, ()))} records, {_verdict(broken.get(name), chains)}")
    print(f"index: {len(entries)} entries, {_index_verdict(broken.get(None), entries)}")
    forgotten = since is not None and since not in {GENESIS, *(entry.hash for entry in entries)}
    if forgotten:
        print("index: the head noted earlier is not in it: entries since then were removed or written anew")
    return 1 if broken or forgotten else 0


def _verdict(found: Break | None, chains: Mapping[str, Sequence[Linked]]) -> str:
    if found is None:
        return "intact"
    chain = chains.get(found.encounter_id or "", ())
    key = f" ({chain[found.position - 1].key})" if found.position <= len(chain) else ""
    return f"first broken record at position {found.position}{key}: {found.what}"


def _index_verdict(found: Break | None, entries: Sequence[Indexed]) -> str:
    if found is not None:
        return f"first broken entry at position {found.position}: {found.what}"
    return f"intact, head {entries[-1].hash if entries else GENESIS}"


def _seal(settings: Settings, path: Path, file: CustodyFile) -> int:
    """Whether the head is the one that was written, and true of the file."""
    wrong = miscounted(file)
    if wrong:
        print(f"{path.name}: {wrong}")
        return 1
    keys = _keys(settings)
    if keys is None:
        print(f"{path.name}: seal not checked, no key file at hand")
        return 0
    if file.head.seal != file.head.sealed_with(keys):
        print(f"{path.name}: its seal is not this installation's, or its head was changed")
        return 1
    print(f"{path.name}: seal intact")
    return 0


def _keys(settings: Settings) -> Keyring | None:
    try:
        return read_keyring(settings.key_file)
    except KeyFileError:
        return None
