"""While a test lasts, the worker reads rulebook and site files of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from store.config import ConfigCache
from tests.kit.site import Files
from tests.workflows.world import World


@contextmanager
def read_by(world: World, files: Files) -> Iterator[ConfigCache]:
    """While it lasts the worker reads these files and no others."""
    before, world.service.config = world.service.config, files.config()
    try:
        yield world.service.config
    finally:
        world.service.config = before
