"""Checks and exports chains of identity, from the database or from an exported file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from app.cli.custody_file import CustodyFile, CustodyFileError, miscounted, read_custody_file, write_lines
from app.settings import COMMAND, Settings
from domain.custody.ledger import GENESIS, Break, Indexed, Linked, check_ledger
from store.engine import Database, Session
from store.identifiers import look_up
from store.keys import KeyFileError, Keyring, read_keyring
from store.queries.custody import chain_links, has_chain, index_entries
from store.tables import CustodyIndex, CustodyRecord
from store.vault import COMMAND_LINE, audit

L = TypeVar("L", bound=Linked)


def verify_store(settings: Settings, encounter: str | None, since: str | None = None) -> int:
    """Prints one line per encounter and one for the index; returns 0 if intact, 1 if broken or unknown.

    Args:
        encounter: an ID or any identifier of one encounter; None means all encounters.
        since: a head of the index from an earlier check; entries up to it must still exist.
    """
    found = _read(settings, encounter)
    return 1 if found is None else _report(*found, since)


def verify_file(settings: Settings, path: Path, encounter: str | None, since: str | None = None) -> int:
    """Checks an exported file like `verify_store`. The seal is checked if the installation's key file is available."""
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
        print(f"{encounter}: the file has no custody records of this encounter")
        return 1
    only = encounter or file.head.encounter
    entries = [entry for entry in file.entries if only in (None, entry.encounter_id)]
    broken = _report(links, entries, only, since)
    return max(broken, _seal(settings, path, file))


def export_store(settings: Settings, path: Path, encounter: str | None) -> int:
    """Writes the chains of all encounters or one to a new file; returns 1 if the encounter is unknown.

    Raises:
        KeyFileError: the key file is missing; the export is sealed with it.
        FileExistsError: the file exists already.
    """
    keys, found = read_keyring(settings.key_file), _read(settings, encounter)
    if found is None:
        return 1
    links, entries, name = found
    with path.open("x", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in write_lines(keys, links, entries, name, datetime.now(UTC)))
    db = Database(settings.database, limits=settings.limits(COMMAND))
    with db.write() as session:
        audit(session, COMMAND_LINE, "export chains", name or "(all)", "read", datetime.now(UTC))
    db.close()
    print(f"{path.name}: {len(links)} records, {len(entries)} index entries")
    return 0


def chains_of(links: Iterable[L]) -> dict[str, list[L]]:
    """Returns links by encounter in the given order; a link among those of another encounter breaks that chain."""
    chains: dict[str, list[L]] = {}
    for name, group in groupby(links, key=lambda link: link.encounter_id):
        chains.setdefault(name, []).extend(group)
    return chains


def _read(
    settings: Settings, encounter: str | None
) -> tuple[list[CustodyRecord], list[CustodyIndex], str | None] | None:
    """Returns links and index entries of all encounters or one; prints a message and returns None if it is unknown."""
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        with db.read() as session:
            name = _named(session, settings, encounter) if encounter else None
            if encounter and name is None:
                print(f"{encounter}: no encounter with custody records has this ID or identifier")
                return None
            return chain_links(session, name), index_entries(session, name), name
    finally:
        db.close()


def _named(session: Session, settings: Settings, reference: str) -> str | None:
    """Returns the encounter of an ID, which needs no key, or of an identifier."""
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
        print("index: the earlier head is missing: entries were removed or replaced since")
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
    """Returns 0 if head and seal fit the file, else 1."""
    wrong = miscounted(file)
    if wrong:
        print(f"{path.name}: {wrong}")
        return 1
    keys = _keys(settings)
    if keys is None:
        print(f"{path.name}: seal not checked, no key file")
        return 0
    if file.head.seal != file.head.sealed_with(keys):
        print(f"{path.name}: the seal is from another installation, or the head was changed")
        return 1
    print(f"{path.name}: seal intact")
    return 0


def _keys(settings: Settings) -> Keyring | None:
    try:
        return read_keyring(settings.key_file)
    except KeyFileError:
        return None
