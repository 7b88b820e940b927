"""Turns keys of the event catalog and the rulebook into plain words."""

from __future__ import annotations

import re
from typing import Final

SHORT: Final = frozenset(
    {"asp", "bsa", "btk", "cd19", "cns", "coi", "crs", "drg", "ecog", "fact", "hcpcs", "icans", "icu", "iv", "lvef"}
    | {"mcl", "mrn", "ndc", "npi", "poa", "rems"}
)
"""Abbreviations written in capitals."""
_KEY: Final = re.compile(r"^[a-z0-9_.]+$")


def words(key: object) -> str:
    """Returns a key as words; text that is not a key keeps its capitals."""
    text = str(key)
    parts = text.replace("_", " ").replace(".", " ")
    if not _KEY.match(text):
        return parts
    return " ".join(part.upper() if part in SHORT else part for part in parts.split(" "))
