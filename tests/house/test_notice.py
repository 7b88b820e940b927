"""Every package that is shipped is in NOTICE; the lock names no index."""

from __future__ import annotations

import re
import tomllib

from tests.kit.files import ROOT


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_has_its_licence_in_notice() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {normal(re.split(r"[\[<>=~! ]", text)[0]) for text in project["dependencies"]}
    named = {normal(line.split(" - ")[0]) for line in (ROOT / "NOTICE").read_text().splitlines() if " - " in line}
    assert needed - named == set()


def test_the_lock_is_hashed_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    pinned = re.findall(r"^[A-Za-z0-9._-]+==", lock, re.MULTILINE)
    unpinned = [line for line in lock.splitlines() if line and not line.startswith((" ", "#")) and "==" not in line]
    assert pinned
    assert unpinned == []
