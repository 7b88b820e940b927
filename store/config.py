"""Reads the rulebook and the site file from disk; an edited file takes effect at the next decision."""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from pathlib import Path

from domain.rulebook import Rulebook, RulebookError, load
from domain.rulebook.rows import Edition
from domain.site import Site, parse_site

NOT_RULES = frozenset({"coverage.toml"})


def rulebook_directory() -> Path:
    """The directory of the packaged tables."""
    return Path(str(files("domain.rulebook")))


def read_texts(directory: Path | None = None) -> dict[str, str]:
    """The texts of the TOML files of a rulebook, by file name."""
    where = directory or rulebook_directory()
    return {path.name: path.read_text() for path in sorted(where.glob("*.toml")) if path.name not in NOT_RULES}


def read_rulebook(edition: Edition, directory: Path | None = None) -> Rulebook:
    """Read and check a rulebook.

    Raises:
        RulebookError: the files contradict each other, or a table is missing: without its rows nothing would be required.
    """
    book = load(read_texts(directory), edition)
    if missing := sorted(table for table, rows in book.rows.items() if not rows):
        raise RulebookError(
            f"{directory or rulebook_directory()}: no rows of {', '.join(missing)}; a directory of rules holds every "
            "table, so copy the packaged ones and change them there"
        )
    return book


@cache
def packaged_rules() -> Rulebook:
    """The rulebook of this release, whatever is configured."""
    return read_rulebook("current")


class ConfigCache:
    """The rulebook and site of a running process, read again when a file changed.

    A rulebook that no longer loads is an error of the reading decision, which is retried until the file is corrected: the
    old rows are never used silently in place of the new ones.
    """

    def __init__(self, edition: Edition, rules_directory: Path | None, site_file: Path) -> None:
        self._edition = edition
        self._directory = rules_directory
        self._site_file = site_file
        self._lock = threading.Lock()
        self._rules: tuple[tuple[object, ...], Rulebook] | None = None
        self._site: tuple[tuple[object, ...], Site] | None = None

    def rules(self) -> Rulebook:
        """The rulebook as its files are now."""
        stamp = _stamp(sorted((self._directory or rulebook_directory()).glob("*.toml")))
        with self._lock:
            if self._rules is None or self._rules[0] != stamp:
                self._rules = (stamp, read_rulebook(self._edition, self._directory))
            return self._rules[1]

    def last_rules(self) -> Rulebook:
        """The rulebook as its files are now; while they do not load, the last one that did, or else the packaged one.

        For texts alone: no message is refused because of a text. Decisions use `rules`.
        """
        try:
            return self.rules()
        except (RulebookError, OSError):
            return self._rules[1] if self._rules else packaged_rules()

    def site(self) -> Site:
        """The site as its file is now.

        Raises:
            SiteError: the file does not fit.
        """
        stamp = _stamp([self._site_file])
        with self._lock:
            if self._site is None or self._site[0] != stamp:
                self._site = (stamp, parse_site(self._site_file.read_text()))
            return self._site[1]


def _stamp(paths: list[Path]) -> tuple[object, ...]:
    return tuple((path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in paths)
