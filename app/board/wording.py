"""Keys of the catalogue and the rulebook as people write them."""

from __future__ import annotations

import re
from typing import Final

SHORT: Final = frozenset(
    {"asp", "bsa", "btk", "cd19", "cns", "coi", "crs", "drg", "ecog", "fact", "hcpcs", "icans", "icu", "iv", "lvef"}
    | {"mcl", "mrn", "ndc", "npi", "poa", "rems"}
)
"""What stands for several words and is written in capitals."""
_KEY: Final = re.compile(r"^[a-z0-9_.]+$")


def words(key: object) -> str:
    """A key as words; a text that is no key keeps its letters."""
    text = str(key)
    parts = text.replace("_", " ").replace(".", " ")
    if not _KEY.match(text):
        return parts
    return " ".join(part.upper() if part in SHORT else part for part in parts.split(" "))
