"""Rulebook and site files of a test's own: copies that it may edit while encounters are open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.config import ConfigCache, rulebook_directory
from tests.workflows.world import World

SITE = Path(__file__).resolve().parents[2] / "deploy" / "site.example.toml"


@dataclass(frozen=True)
class Files:
    """Where the copies are, and the shelf that reads them."""

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
    site = directory / "site.toml"
    shutil.copy(SITE, site)
    return Files(rules, site)


@contextmanager
def read_by(world: World, files: Files) -> Iterator[ConfigCache]:
    """While it lasts the worker reads these files and no others."""
    before, world.service.store.config = world.service.config, files.config()
    try:
        yield world.service.config
    finally:
        world.service.store.config = before
