"""The data directory of the embedded stack: created at the first start, checked at later starts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from app.settings import CannotStart, Settings
from store.keys import KeyFileError, create_keyring, read_keyring

MARKER = "installation.json"
RESTORING = "restore.json"
"""There while a restore is not finished; the stack does not start on a half restored directory."""
FORMAT = 1


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Locks a data directory, so that only one stack uses it.

    Raises:
        CannotStart: another stack uses it, or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = (directory / "lock").open("w")
    except OSError as error:
        raise CannotStart(
            f"data directory {directory}: {error.strerror}; choose a directory that you may write"
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(f"data directory {directory} is in use by another running stack; stop it first") from None
        yield


def install(settings: Settings) -> None:
    """Creates keys and token at the first start; checks them at later starts.

    The marker is written last: a directory with a database and no marker is incomplete.

    Raises:
        CannotStart: the directory is incomplete, damaged, or of a newer format.
    """
    directory = settings.data_dir
    marker = directory / MARKER
    if (directory / RESTORING).exists():
        raise CannotStart(
            f"data directory {directory}: a restore was interrupted; run the same `cart-encounter restore` again"
        )
    if marker.exists():
        _check(settings, marker)
        return
    if (directory / "encounters.db").exists() or (directory / "temporal.db").exists():
        raise CannotStart(
            f"data directory {directory} is incomplete: it has a database and no {MARKER}; "
            "restore it from its backup or choose an empty directory"
        )
    _make_keys(settings)
    _make_token(settings)
    _write_whole(marker, json.dumps({"format": FORMAT}))


def _check(settings: Settings, marker: Path) -> None:
    try:
        made = int(json.loads(marker.read_text())["format"])
    except (ValueError, KeyError, TypeError):
        raise CannotStart(f"{marker} is damaged; restore the data directory from its backup") from None
    if made > FORMAT:
        raise CannotStart(f"data directory {settings.data_dir} was written by a newer version; upgrade this one")
    try:
        read_keyring(settings.key_file)
    except KeyFileError as error:
        raise CannotStart(f"{settings.key_file}: {error}") from None
    if not settings.token_file.exists() or not settings.token_file.read_text().strip():
        raise CannotStart(f"{settings.token_file} is missing or empty; restore it from its backup")


def known_epoch(settings: Settings) -> int:
    """Returns the highest epoch that the marker of the data directory notes; 0 without one."""
    try:
        return int(json.loads((settings.data_dir / MARKER).read_text()).get("epoch", 0))
    except (OSError, ValueError, AttributeError, TypeError):
        return 0


def note_epoch(settings: Settings, epoch: int) -> None:
    """Notes an epoch in the marker, so that no later restore begins the same one."""
    marker = settings.data_dir / MARKER
    try:
        noted = json.loads(marker.read_text())
    except (OSError, ValueError):
        return
    _write_whole(marker, json.dumps({**noted, "epoch": epoch}))


def _make_keys(settings: Settings) -> None:
    try:
        if settings.key_file.exists():
            read_keyring(settings.key_file)
        else:
            create_keyring(settings.key_file)
    except KeyFileError as error:
        raise CannotStart(f"{settings.key_file}: {error}") from None


def _make_token(settings: Settings) -> None:
    if not settings.token_file.exists() or not settings.token_file.read_text().strip():
        _write_whole(settings.token_file, secrets.token_urlsafe(32) + "\n")


def _write_whole(path: Path, text: str) -> None:
    """Writes the whole file or nothing, readable by the owner only."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
