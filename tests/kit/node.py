"""Servers that exist only as packages of npm: found where `.ci/programs` installs them; never skipped in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.kit.files import ROOT


def node_modules(package: str) -> Path:
    """The directory with `node_modules/PACKAGE`; skips the test where node or the package is missing, and fails it in CI."""
    directory = Path(os.environ.get("CART_TEST_NODE_MODULES") or ROOT / ".node")
    if shutil.which("node") and (directory / "node_modules" / package).is_dir():
        return directory
    missing = f"needs node, and npm's {package} in CART_TEST_NODE_MODULES or .node: run .ci/programs"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
