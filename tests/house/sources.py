"""The source files of each room."""

from __future__ import annotations

from pathlib import Path

from tests.kit.files import ROOT

ROOMS = ("domain", "store", "workflows", "activities", "intake", "app")


def sources(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
