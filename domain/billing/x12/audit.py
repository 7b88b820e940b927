"""What the guide maps do not see in a file: sums, sequences, check digits, dates inside composites.

Findings name segment and place, never a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from stdnum.us import ein

from domain.site import npi_is_valid

_CLAIM_NUMBER = 20
_NDC = 11
_REVENUE = 4
_POSTAL = """
AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD
TN TX UT VT VA WA WV WI WY DC PR VI GU AS MP
"""
_STATES = frozenset(_POSTAL.split())
_ZIP = (5, 9)
_FULL_ZIP = 9
_TAXONOMY = 10

Segment = Sequence[str]


def audit(file: str) -> list[str]:
    """What is wrong with the file beyond its syntax; empty when nothing is. The file holds one claim."""
    segments = [line.strip().split("*") for line in file.split("~") if line.strip()]
    return [finding for check in _CHECKS for finding in check(segments)]


def _all(segments: Sequence[Segment], *tags: str) -> list[Segment]:
    return [segment for segment in segments if segment[0] in tags]


def _at(segment: Segment, index: int) -> str:
    return segment[index] if len(segment) > index else ""


def _money(value: str) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _total(segments: Sequence[Segment]) -> Iterator[str]:
    lines = [_money(_at(s, 3 if s[0] == "SV2" else 2)) for s in _all(segments, "SV1", "SV2")]
    for claim in _all(segments, "CLM"):
        amounts = [_money(_at(claim, 2)), *lines]
        if any(a is None for a in amounts) or amounts[0] != sum(a for a in lines if a is not None):
            yield "CLM02 is not the sum of the lines"
        if any(a is not None and a != a.quantize(Decimal("0.01")) for a in amounts):
            yield "an amount has more than two decimals"


def _claim_number(segments: Sequence[Segment]) -> Iterator[str]:
    if any(len(_at(s, 1)) > _CLAIM_NUMBER for s in _all(segments, "CLM")):
        yield "CLM01 is longer than twenty characters"


def _sequence(segments: Sequence[Segment]) -> Iterator[str]:
    if [_at(s, 1) for s in _all(segments, "LX")] != [str(n) for n in range(1, 1 + len(_all(segments, "LX")))]:
        yield "LX01 does not count from one"
    for segment, follower in pairwise(segments):
        if segment[0] == "LX" and follower[0] not in ("SV1", "SV2"):
            yield "LX stands without a service"


def _providers(segments: Sequence[Segment]) -> Iterator[str]:
    names = [s for s in _all(segments, "NM1") if _at(s, 8) == "XX"]
    if any(not npi_is_valid(_at(s, 9)) for s in names):
        yield "NM109 has an NPI with a wrong check digit"
    wanted = "71" if _all(segments, "SV2") else "82"
    if not any(_at(s, 1) == wanted for s in names):
        yield "NM1 of the attending or rendering provider is missing"
    if any(not ein.is_valid(_at(s, 2)) for s in _all(segments, "REF") if _at(s, 1) == "EI"):
        yield "REF02 is no employer identification number"
    if any(len(_at(s, 3)) != _TAXONOMY or not _at(s, 3).endswith("X") for s in _all(segments, "PRV")):
        yield "PRV03 is no taxonomy code"


def _addresses(segments: Sequence[Segment]) -> Iterator[str]:
    for place in _all(segments, "N4"):
        if _at(place, 2) not in _STATES:
            yield "N402 is no state"
        if not _at(place, 3).isdigit() or len(_at(place, 3)) not in _ZIP:
            yield "N403 is no postal code"
    biller = _after(segments, "85")
    if biller and len(_at(biller, 3)) != _FULL_ZIP:
        yield "N403 of the billing provider needs all nine digits; add them to the facility in the site file"


def _after(segments: Sequence[Segment], entity: str) -> Segment | None:
    """The place (N4) of the party."""
    start = next((i for i, s in enumerate(segments) if s[0] == "NM1" and _at(s, 1) == entity), len(segments))
    return next((s for s in segments[start:] if s[0] == "N4"), None)


def _services(segments: Sequence[Segment]) -> Iterator[str]:
    for line in _all(segments, "SV2"):
        if len(_at(line, 1)) != _REVENUE or not _at(line, 1).isdigit():
            yield "SV201 is no revenue code"
    for drug in _all(segments, "LIN"):
        if len(_at(drug, 3)) != _NDC or not _at(drug, 3).isdigit():
            yield "LIN03 is no NDC of eleven digits"


def _dates(segments: Sequence[Segment]) -> Iterator[str]:
    """Dates inside health information, and lines inside the statement period."""
    parts = [part.split(":") for s in _all(segments, "HI") for part in s[1:]]
    if any(len(p) > 3 and p[2] == "D8" and not _is_date(p[3]) for p in parts):
        yield "HI has a date that is none"
    period = next((_at(s, 3).split("-") for s in _all(segments, "DTP") if _at(s, 1) == "434"), None)
    days = [_at(s, 3) for s in _all(segments, "DTP") if _at(s, 1) == "472"]
    if period and len(period) == 2 and any(not period[0] <= day <= period[1] for day in days):
        yield "DTP of a line lies outside the statement period"


def _is_date(value: str) -> bool:
    try:
        datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007  a day has no zone
    except ValueError:
        return False
    return True


_CHECKS = (_total, _claim_number, _sequence, _providers, _addresses, _services, _dates)
