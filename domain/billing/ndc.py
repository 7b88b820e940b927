"""The National Drug Code in the eleven digits a claim carries (5-4-2), and the labeler and product it belongs to."""

from __future__ import annotations

from collections.abc import Iterable

_DIGITS = 11
_WIDTHS = (5, 4, 2)


def eleven(ndc: str) -> str | None:
    """The NDC as eleven digits without hyphens, or None when it cannot be one (corrections B19).

    A hyphenated ten-digit NDC gets its zero in the short part; eleven digits are taken as they are.
    """
    if ndc.isdigit():
        return ndc if len(ndc) == _DIGITS else None
    parts = ndc.split("-")
    if len(parts) != len(_WIDTHS) or not all(part.isdigit() for part in parts):
        return None
    padded = "".join(part.zfill(width) for part, width in zip(parts, _WIDTHS, strict=True))
    return padded if len(padded) == _DIGITS else None


def belongs_to(ndc: str, prefixes: Iterable[str]) -> bool:
    """True when the NDC starts with one of the hyphenated prefixes (labeler, or labeler and product)."""
    digits = eleven(ndc)
    return digits is not None and any(digits.startswith(_prefix(prefix)) for prefix in prefixes)


def _prefix(prefix: str) -> str:
    parts = prefix.split("-")
    return "".join(part.zfill(width) for part, width in zip(parts, _WIDTHS, strict=False))
