"""The access file of a running gateway: read again if it or a secret file changes.

An invalid change keeps the previous callers and is reported in the log and on `/metrics`, so that a typing error neither locks
out callers nor lets any in.
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
    """The callers of an access file.

    Raises:
        AccessError: the file is not valid at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._access = read_access_file(path)
        self._files = files_of(path)
        self._seen = self._now()

    def current(self) -> Access:
        """Returns the callers of the current file, or the previous ones while it is not valid."""
        if self._now() != self._seen:
            with self._lock:
                if self._now() != self._seen:
                    self._look()
        return self._access

    def _look(self) -> None:
        """Reads the file; its secret files are watched even if it is not valid, since one of them may be the cause."""
        own = _stamp(self._path)
        with contextlib.suppress(AccessError):
            self._files = files_of(self._path)
        seen = (own, *self._now()[1:])
        try:
            fresh = read_access_file(self._path)
        except AccessError as error:
            ACCESS_FILE_UP.set(0)
            log.error("access.file_refused", reason=str(error), kept="previous callers")
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
