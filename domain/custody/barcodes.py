"""Barcode input: GS1 and ISBT 128 symbols parsed into typed identifiers.

A reader that works as a keyboard types the whole content of a DataMatrix into one field. A plain identifier is no symbol and
stays as it is. Nothing is guessed: a check digit that does not fit, an end that was cut off, or a code that could be read in
two ways is an error. Sources: GS1 General Specifications (application identifiers), ISBT 128 Standard Technical Specification
ST-001 (data structures 001, 003, 004, 005, 023, 035).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from stdnum import gs1_128

from domain.events.din import flags_fit

SEPARATOR: Final = "\x1d"
SHOWN_SEPARATORS: Final = ("␝", "<GS>", "{GS}")
"""How readers and browsers show the group separator where its control character cannot be typed."""

SYMBOLOGY: Final = re.compile(r"^\][A-Za-z]\d")
GS1: Final = re.compile(r"^(\(\d{2,4}\)|01\d{14})")
ISBT: Final = re.compile(r"^[=&]")
SHOWN_IDENTIFIER: Final = re.compile(r"\((\d{2,4})\)")
DIN: Final = re.compile(r"^=([A-NP-Z1-9][A-Z0-9]{4}\d{2}\d{6})([A-Z0-9]{2})$")
DIN_BEGINS: Final = re.compile(r"^=[A-NP-Z1-9]")
EXPIRES: Final = re.compile(r"^(?:=>|&>)(\d{6})(?:\d{4})?$")
LOT: Final = re.compile(r"^&,1([A-Z0-9]{1,18})$")
GTIN_OF_NDC: Final = re.compile(r"^\d03(\d{10})\d$")
RUN_TOGETHER: Final = re.compile(r"10|21|17\d{6}")
"""A possible start of the next element where the separator is missing."""
READABLE_TOGETHER: Final = re.compile(r"(?:01\d{14}|1[1-7]\d{6}|20\d{2})*(?:(?:10|21)(?P<last>.{1,20}))?")
"""Elements of predefined length (GS1 General Specifications) and at most one other, which is the last."""

BY_AI: Final = {"10": "lot", "17": "expires_on", "21": "bag_id"}
CENTURIES: Final = 2000


class ScanError(ValueError):
    """The symbol cannot be trusted; the message names the problem and what to do, never the scanned content."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The identifiers of a symbol by form field, and its other content."""

    values: Mapping[str, str]
    others: tuple[str, ...] = ()


def is_symbol(text: str) -> bool:
    """Whether the text is a structured symbol, not one plain identifier."""
    bare = _bare(text)
    return bool(SYMBOLOGY.match(text.strip()) or GS1.match(bare) or ISBT.match(bare))


def read(text: str, ndc_prefixes: Iterable[str]) -> Scan:
    """Parse a symbol.

    Args:
        ndc_prefixes: hyphenated labeler-product prefixes of the known products: ten digits alone do not show how an NDC is
            divided.

    Raises:
        ScanError: it is damaged, cut off, or ambiguous.
    """
    bare = _bare(text)
    if ISBT.match(bare):
        return _isbt(bare)
    if GS1.match(bare):
        return _gs1(bare, tuple(ndc_prefixes))
    raise ScanError(
        "this is neither a GS1 nor an ISBT 128 symbol; scan the other code of the label, or type the identifier"
    )


def _bare(text: str) -> str:
    found = SYMBOLOGY.sub("", text.strip(" \r\n\t"))
    for shown in SHOWN_SEPARATORS:
        found = found.replace(shown, SEPARATOR)
    return found.strip(SEPARATOR)


def _gs1(text: str, prefixes: tuple[str, ...]) -> Scan:
    run_together = SEPARATOR not in text and not text.startswith("(")
    if text.startswith("("):
        text = SHOWN_IDENTIFIER.sub(rf"{SEPARATOR}\1", text).removeprefix(SEPARATOR)
    if run_together:
        _whole(text)
    try:
        elements = gs1_128.info(text, separator=SEPARATOR)
    except (ValueError, ArithmeticError, LookupError):  # a decimal that is none is no ValueError
        raise ScanError(
            "the GS1 symbol is damaged: a check digit, date or length does not fit; scan it again"
        ) from None
    values: dict[str, str] = {}
    others = []
    for identifier, value in elements.items():
        if identifier in BY_AI:
            values[BY_AI[identifier]] = value.isoformat() if isinstance(value, date) else str(value)
        elif identifier == "01" and GTIN_OF_NDC.match(str(value)):
            values["ndc"] = _hyphenated(str(value)[3:13], prefixes)
        else:
            others.append(f"GS1 ({identifier})")
    return Scan(values, tuple(others))


def _whole(text: str) -> None:
    """Refuse a symbol in which one identifier may have swallowed another: where the reader dropped the separators."""
    found = READABLE_TOGETHER.fullmatch(text)
    if found is None or RUN_TOGETHER.search(found["last"] or ""):
        raise ScanError(
            "the reader does not send the group separator, so two identifiers may run together; set it to send GS, or scan "
            "each identifier alone"
        )


def _hyphenated(ten: str, prefixes: tuple[str, ...]) -> str:
    """Ten digits of an NDC with their hyphens, where exactly one known product divides them."""
    divided = set()
    for prefix in prefixes:
        labeler, _, product = prefix.partition("-")
        if product and ten.startswith(labeler + product):
            divided.add(f"{labeler}-{product}-{ten[len(labeler + product) :]}")
    if len(divided) != 1:
        raise ScanError(
            "the NDC in this symbol belongs to no known product; type it with its hyphens as the label shows it"
        )
    return divided.pop()


def _isbt(text: str) -> Scan:
    """Data structures one after the other; each begins with = or &, which no content has."""
    values: dict[str, str] = {}
    others = []
    for structure in re.findall(r"[=&][^=&]*", text):
        content = structure.rstrip(SEPARATOR + " ")
        if content.startswith("=+"):
            continue
        if found := DIN.match(content):
            if not flags_fit(found.group(1), found.group(2)):
                raise ScanError(
                    "the check character of the donation number in this ISBT 128 symbol does not fit; scan it again"
                )
            values["din"] = found.group(1)
        elif DIN_BEGINS.match(content):
            raise ScanError("the donation number in this ISBT 128 symbol is cut off or damaged; scan it again")
        elif found := EXPIRES.match(content):
            values["expires_on"] = _julian(found.group(1)).isoformat()
        elif found := LOT.match(content):
            values["lot"] = found.group(1)
        else:
            others.append(f"ISBT 128 {content[:2]}")
    return Scan(values, tuple(others))


def _julian(text: str) -> date:
    """`cyyjjj`: century digit, year, day of the year."""
    year, day = CENTURIES + int(text[1:3]), int(text[3:])
    found = date(year, 1, 1) + timedelta(days=day - 1)
    if text[0] != "0" or day < 1 or found.year != year:
        raise ScanError("the date in this ISBT 128 symbol does not exist; scan it again")
    return found
