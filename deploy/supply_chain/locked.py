"""The packages of a lock file, who needs each, and their licenses."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from cyclonedx.spdx import is_expression, is_supported_id

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "deploy" / "requirements.lock"
"""What the image installs."""
WHOLE = ROOT / "requirements.lock"
"""The same with everything for development; it notes who needs each package."""
LICENSES = Path(__file__).with_name("licenses.toml")
PROJECT = "cart-encounter"

PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)")
VIA = re.compile(r"^ {4}#(?: {3}| via )([A-Za-z0-9_.-]+)")


class LicenseUnknown(LookupError):
    """The metadata of a package has no SPDX license; the message names the fix."""


@dataclass(frozen=True)
class Package:
    """A pinned package; `needed_by` are the packages that require it."""

    name: str
    version: str
    needed_by: frozenset[str] = field(default_factory=frozenset)


def normal(name: str) -> str:
    """Returns a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(lock: Path = RUNTIME) -> list[Package]:
    """Returns the packages of a lock, by name."""
    needed_by = _needed_by(WHOLE)
    found = [PINNED.match(line) for line in lock.read_text(encoding="utf-8").splitlines()]
    return sorted(
        (Package(normal(m[1]), m[2], needed_by.get(normal(m[1]), frozenset())) for m in found if m),
        key=lambda package: package.name,
    )


def _needed_by(lock: Path) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if pinned := PINNED.match(line):
            name = normal(pinned[1])
        elif via := VIA.match(line):
            found.setdefault(name, set()).add(normal(via[1]))
    return {name: frozenset(those) for name, those in found.items()}


def license_of(name: str) -> str:
    """Returns the SPDX license of a package, from `licenses.toml`, else from the metadata of the installed package.

    Raises:
        LicenseUnknown: neither has one.
    """
    stated = tomllib.loads(LICENSES.read_text(encoding="utf-8"))["licenses"]
    if name in stated:
        return str(stated[name])
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise LicenseUnknown(f"{name} is not installed here: write its license into {LICENSES.name}") from None
    for text in (found.get("License-Expression"), found.get("License")):
        if text and (is_supported_id(text) or is_expression(text)):
            return text
    raise LicenseUnknown(f"the metadata of {name} names no SPDX license: write it into {LICENSES.name}")


def project() -> dict[str, str]:
    """Returns the table `project` of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])
