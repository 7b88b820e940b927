"""A store, and the programs of Prometheus: skipped where they are missing, never skipped in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.store_world import World

PROGRAMS = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of a program by its name."""

    def find(name: str) -> str:
        for spelling in PROGRAMS.get(name, (name,)):
            if path := shutil.which(spelling):
                return path
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed on this CI machine; .ci/run installs it")
        pytest.skip(f"{name} is not installed; on Debian: apt-get install prometheus prometheus-alertmanager")

    return find
