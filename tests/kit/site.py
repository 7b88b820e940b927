"""The example site of the repository: parsed, live, or copied with the rulebook for tests that edit files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from domain.site import Site, parse_site
from store.config import ConfigCache, rulebook_directory
from tests.kit.files import SITE_FILE


@cache
def site() -> Site:
    """The example site."""
    return parse_site(SITE_FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="session", name="site")
def _site() -> Site:
    return site()


def live_site(directory: Path) -> Path:
    """A file of the example site with every payer live: claims are billed from here, so payers must answer."""
    live = directory / "live-site.toml"
    live.write_text(SITE_FILE.read_text(encoding="utf-8").replace('mode = "shadow"', 'mode = "live"'), encoding="utf-8")
    return live


@dataclass(frozen=True)
class Files:
    """Copies of rulebook and site file that a test may edit while encounters are open."""

    rules: Path
    site: Path

    def config(self) -> ConfigCache:
        return ConfigCache("current", self.rules, self.site)

    def edit(self, table: str, old: str, new: str) -> None:
        """Change one place of a table, as a person with an editor would."""
        path = self.rules / table
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{table}: {text.count(old)} places"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def tables(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.rules.iterdir())}


def copied(directory: Path) -> Files:
    """The packaged tables and the example site, copied into a directory."""
    rules = directory / "rules"
    rules.mkdir()
    for table in rulebook_directory().glob("*.toml"):
        shutil.copy(table, rules / table.name)
    site_file = directory / "site.toml"
    shutil.copy(SITE_FILE, site_file)
    return Files(rules, site_file)
