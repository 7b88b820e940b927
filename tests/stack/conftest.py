"""One stack for the tests that only use it; tests that kill theirs start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.harness import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack")).start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path / "data").start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()
