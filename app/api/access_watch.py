"""The access file of a running gateway: read again when it, or a secret it names, changes.

A change that does not fit leaves everybody's rights as they were, says so in the log and on `/metrics`: a slip of the pen
must neither lock everybody out nor let anybody in.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import structlog

from app.api.access import Access, AccessError
from app.api.access_file import files_of, read_access_file
from app.api.counters import ACCESS_FILE_UP

log = structlog.get_logger(__name__)

Stamp = tuple[tuple[str, int, int] | None, ...]


class AccessOfFile:
    """Who may call, by a file.

    Raises:
        AccessError: it does not fit at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._access = read_access_file(path)
        self._files = files_of(path)
        self._seen = self._now()

    def current(self) -> Access:
        """The callers as the file stands now; as they were while it does not fit."""
        if self._now() != self._seen:
            with self._lock:
                if self._now() != self._seen:
                    self._look()
        return self._access

    def _look(self) -> None:
        """Read the file; the secrets it names are watched whether it fits or not, for what it lacks may be one of them."""
        own = _stamp(self._path)
        with contextlib.suppress(AccessError):
            self._files = files_of(self._path)
        seen = (own, *self._now()[1:])
        try:
            fresh = read_access_file(self._path)
        except AccessError as error:
            ACCESS_FILE_UP.set(0)
            log.error("access.file_refused", reason=str(error), kept="the callers of before")
        else:
            self._access = fresh.succeeding(self._access)
            ACCESS_FILE_UP.set(1)
            log.warning("access.file_read", callers=len(fresh.actors), issuers=len(fresh.issuers))
        self._seen = seen

    def _now(self) -> Stamp:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: Path) -> tuple[str, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return path.name, found.st_mtime_ns, found.st_size
