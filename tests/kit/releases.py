"""Earlier releases, out of the history: their code runs beside today's, in the same interpreter's environment."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.kit.files import ROOT

COMMITS = {"0.1.0": "e4b18d5878"}
"""The commit of each release that an installation may be upgraded from."""


@dataclass(frozen=True)
class Release:
    """The code of a release.

    Attributes:
        name: its version; `today` is the code of this checkout.
        code: the directory of its rooms.
        module: of its command line.
    """

    name: str
    code: Path
    module: str

    def command(self, *words: str) -> list[str]:
        """A command of its command line; `-P`: the directory it is started in must not replace its code."""
        return [sys.executable, "-P", "-m", self.module, *words]

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment in which `command` runs its code, and no other settings than these."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CART_")}
        return {**kept, "PYTHONPATH": str(self.code), **settings}

    def run(self, *words: str, seconds: float = 120, **settings: str) -> str:
        """Run a command to its end.

        Raises:
            AssertionError: it failed; with what it printed.
        """
        done = subprocess.run(
            self.command(*words),
            env=self.environment(**settings),
            cwd=self.code,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, (self.name, words, done.stdout, done.stderr)
        return done.stdout


TODAY = Release("today", ROOT, "app.cli.main")


@cache
def release(name: str) -> Release:
    """An earlier release; skips where the history is too short to have it, never in CI."""
    git = ["git", "-C", str(ROOT)]
    archive = subprocess.run([*git, "archive", "--format=tar", COMMITS[name]], capture_output=True, check=False)
    if archive.returncode != 0:
        message = f"the history here does not have {name} (commit {COMMITS[name]}); git fetch --unshallow"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    code = Path(tempfile.mkdtemp(prefix=f"cart-{name}-"))
    atexit.register(shutil.rmtree, code, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(code, filter="data")
    return Release(name, code, "app.cli")
