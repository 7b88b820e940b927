"""Donation identification numbers of ISBT 128 (ST-001, data structure 001), and their check character (ISO 7064, modulus 37-2).

Thirteen characters: facility (5), year (2), sequence (6). A person who types one adds the boxed check character of the label; a
reader may send it as two flag characters. The check character is checked and removed, so that one donation has one number. A
number in another form is a facility's own and is not changed. Neither is a number of fourteen characters without spaces whose
last does not fit, because many facilities use such numbers. In groups as on the label, a character that does not fit is an error.
"""

from __future__ import annotations

import re
from typing import Final

CHARACTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*"
"""Characters by their values, 0 to 36."""
MODULUS: Final = 37
FLAG_OF_CHECK: Final = 60
"""Flag characters from 60 to 96 are the value of the check character plus 60 (type 3 flags)."""
TYPED: Final = re.compile(r"^([A-NP-Z1-9][A-Z0-9]{4})( ?)(\d{2}) ?(\d{6}) ?([0-9A-Z*])?$")
WRONG: Final = "the check character does not fit this donation number (ISBT 128); read it again from the label"


def check_character(din: str) -> str:
    """Return the check character of a number of thirteen characters."""
    return CHARACTERS[_check_value(din)]


def flags_fit(din: str, flags: str) -> bool:
    """Whether flag characters that carry a check agree with the number; other flags are not checked."""
    value = int(flags) - FLAG_OF_CHECK if flags.isdigit() else -1
    return not 0 <= value < MODULUS or value == _check_value(din)


def checked(text: str, *, kept: bool = False) -> str:
    """Return the number without its check character.

    Args:
        kept: the number is on record; a number that would be refused today is not changed.

    Raises:
        ValueError: the check character does not fit; the message holds no value.
    """
    found = TYPED.match(text)
    if found is None:
        return text
    din = "".join(found.group(1, 3, 4))
    if not found[5] or found[5] == check_character(din):
        return din
    if found[2] and not kept:
        raise ValueError(WRONG)
    return text


def _check_value(din: str) -> int:
    total = 0
    for character in din:
        total = (total + CHARACTERS.index(character)) * 2 % MODULUS
    return (MODULUS + 1 - total) % MODULUS
