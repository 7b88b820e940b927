"""The outbox: paths of claim files, and writing one whole, once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from store.tables import Transmission


def file_path(outbox: Path, sent: Transmission) -> Path:
    """The path of a claim file: mode, payer, receiver and number, nothing about a person."""
    return outbox / sent.mode / sent.payer / f"{sent.receiver_id}-{sent.interchange:09d}.x12"


def write_once(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by the owner alone; an existing file is not changed."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    """Give the whole file its name. Unlike a rename, a link fails where another worker was first."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
