"""The outbox: paths of claim files, and writing one whole, once, with its line in the index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from store.outbox_index import DRAFT, Entry, OutboxConflict, OutboxIndex, digest_of_file, sync, write_synced
from store.tables import Transmission

FILES = "*.x12"


def file_path(outbox: Path, sent: Transmission) -> Path:
    """The path of a claim file: mode, payer, receiver and number, nothing about a person."""
    return outbox / relative_path(sent)


def relative_path(sent: Transmission) -> str:
    """The path of a claim file within the outbox."""
    return f"{sent.mode}/{sent.payer}/{sent.receiver_id}-{sent.interchange:09d}.x12"


def claim_files(outbox: Path) -> Iterator[Path]:
    """Every claim file that is in the outbox, without drafts."""
    return (path for path in sorted(outbox.rglob(FILES)) if not path.name.startswith("."))


def write_once(index: OutboxIndex, entry: Entry, text: str) -> Entry:
    """Write a file whole or not at all, once, readable by the owner alone; safe to repeat after a crash at any point.

    Returns:
        What went out under the number: the entry, or the one of an earlier try.

    Raises:
        OutboxConflict: the outbox has, or had, another file under the number; nothing is written.
        OSError: the outbox is full or unavailable; try again.
    """
    with index.locked():
        known = index.entries.get(entry.path)
        if known is not None and known.controls != entry.controls:
            raise OutboxConflict(entry.path)
        if known is None:
            known = _begun(index, entry, text)
        _named(index, known)
        return known


def _begun(index: OutboxIndex, entry: Entry, text: str) -> Entry:
    path, draft = index.outbox / entry.path, index.draft_of(entry)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (there := digest_of_file(path)) is not None:
        if there != entry.digest:
            raise OutboxConflict(entry.path)
    else:
        for left in path.parent.glob(f".{path.name}.*{DRAFT}"):  # of a try that did not get to its line
            left.unlink()
        write_synced(draft, text)
        sync(path.parent)
    index.add([entry])
    return entry


def _named(index: OutboxIndex, entry: Entry) -> None:
    """Give the file its name. Only under the lock: a rename would replace another file."""
    path, draft = index.outbox / entry.path, index.draft_of(entry)
    if not entry.digest or not draft.exists():
        if (there := digest_of_file(path)) is not None and entry.digest and there != entry.digest:
            raise OutboxConflict(entry.path)
        return
    if (there := digest_of_file(path)) is not None:
        if there != entry.digest:
            raise OutboxConflict(entry.path)
        draft.unlink()
        return
    os.rename(draft, path)
    sync(path.parent)
