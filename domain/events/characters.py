"""Characters that no name, number or text of an event may hold: controls, and marks that turn the direction of writing.

A name that holds one shows other letters than it has, and an 837 would carry a blank or nothing in its place. Free text may
hold line ends and tabs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

LINE_ENDS_AND_TABS: Final = frozenset("\r\n\t")
DIRECTION_MARKS: Final = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})

Path = tuple[int | str, ...]


def forbidden(text: str, *, free: bool = False) -> str:
    """The first character of a text that it may not hold, as its code point (U+202E); empty where there is none.

    Args:
        free: whether it is free text.
    """
    for character in text:
        if free and character in LINE_ENDS_AND_TABS:
            continue
        if character in DIRECTION_MARKS or unicodedata.category(character) in CONTROLS:
            return f"U+{ord(character):04X}"
    return ""


def places(value: object, free_text: Collection[str], path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Where a JSON value holds such a character, and which.

    Args:
        free_text: names of the fields that hold free text.
    """
    if isinstance(value, str):
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        # White space around a value is not part of it.
        if found := forbidden(value.strip(" \t\r\n"), free=name in free_text):
            yield path, found
    elif isinstance(value, Mapping):
        items: Mapping[Any, object] = value
        for key, inner in items.items():
            yield from places(inner, free_text, (*path, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, free_text, (*path, number))
