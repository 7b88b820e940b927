"""What the guide maps do not see in a file: sums, sequences, check digits, dates inside composites.

Findings name segment and place, never a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from stdnum.us import ein

from domain.billing.x12.entries import NotUsable
from domain.billing.x12.interchange import Segment, segments
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


def audit(file: str) -> list[str]:
    """What is wrong with the file beyond its syntax; empty when nothing is. The file holds one claim."""
    try:
        found = list(segments([file.encode()]))
    except NotUsable as error:
        return [f"envelope: {error}"]
    return [finding for check in _CHECKS for finding in check(found)]


def _all(file: Sequence[Segment], *tags: str) -> list[Segment]:
    return [segment for segment in file if segment.tag in tags]


def _money(value: str) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _total(file: Sequence[Segment]) -> Iterator[str]:
    lines = [_money(s.at(3 if s.tag == "SV2" else 2)) for s in _all(file, "SV1", "SV2")]
    for claim in _all(file, "CLM"):
        amounts = [_money(claim.at(2)), *lines]
        if any(a is None for a in amounts) or amounts[0] != sum(a for a in lines if a is not None):
            yield "CLM02 is not the sum of the lines"
        if any(a is not None and a != a.quantize(Decimal("0.01")) for a in amounts):
            yield "an amount has more than two decimals"


def _claim_number(file: Sequence[Segment]) -> Iterator[str]:
    if any(len(s.at(1)) > _CLAIM_NUMBER for s in _all(file, "CLM")):
        yield "CLM01 is longer than twenty characters"


def _sequence(file: Sequence[Segment]) -> Iterator[str]:
    if [s.at(1) for s in _all(file, "LX")] != [str(n) for n in range(1, 1 + len(_all(file, "LX")))]:
        yield "LX01 does not count from one"
    for segment, follower in pairwise(file):
        if segment.tag == "LX" and follower.tag not in ("SV1", "SV2"):
            yield "LX without a service line"


def _providers(file: Sequence[Segment]) -> Iterator[str]:
    names = [s for s in _all(file, "NM1") if s.at(8) == "XX"]
    if any(not npi_is_valid(s.at(9)) for s in names):
        yield "NM109 has an NPI with a wrong check digit"
    wanted = "71" if _all(file, "SV2") else "82"
    if not any(s.at(1) == wanted for s in names):
        yield "NM1 of the attending or rendering provider is missing"
    if any(not ein.is_valid(s.at(2)) for s in _all(file, "REF") if s.at(1) == "EI"):
        yield "REF02 is no employer identification number"
    if any(len(s.at(3)) != _TAXONOMY or not s.at(3).endswith("X") for s in _all(file, "PRV")):
        yield "PRV03 is no taxonomy code"


def _addresses(file: Sequence[Segment]) -> Iterator[str]:
    for place in _all(file, "N4"):
        if place.at(2) not in _STATES:
            yield "N402 is no state"
        if not place.at(3).isdigit() or len(place.at(3)) not in _ZIP:
            yield "N403 is no postal code"
    biller = _after(file, "85")
    if biller and len(biller.at(3)) != _FULL_ZIP:
        yield "N403 of the billing provider needs all nine digits; add them to the facility in the site file"


def _after(file: Sequence[Segment], entity: str) -> Segment | None:
    """The place (N4) of the party."""
    start = next((i for i, s in enumerate(file) if s.tag == "NM1" and s.at(1) == entity), len(file))
    return next((s for s in file[start:] if s.tag == "N4"), None)


def _services(file: Sequence[Segment]) -> Iterator[str]:
    for line in _all(file, "SV2"):
        if len(line.at(1)) != _REVENUE or not line.at(1).isdigit():
            yield "SV201 is no revenue code"
    for drug in _all(file, "LIN"):
        if len(drug.at(3)) != _NDC or not drug.at(3).isdigit():
            yield "LIN03 is no NDC of eleven digits"


def _dates(file: Sequence[Segment]) -> Iterator[str]:
    """Dates inside health information, and lines inside the statement period."""
    parts = [s.parts(index) for s in _all(file, "HI") for index in range(1, len(s) + 1)]
    if any(len(p) > 3 and p[2] == "D8" and not _is_date(p[3]) for p in parts):
        yield "HI has a date that is none"
    period = next((s.at(3).split("-") for s in _all(file, "DTP") if s.at(1) == "434"), None)
    days = [s.at(3) for s in _all(file, "DTP") if s.at(1) == "472"]
    if period and len(period) == 2 and any(not period[0] <= day <= period[1] for day in days):
        yield "DTP of a line lies outside the statement period"


def _is_date(value: str) -> bool:
    try:
        datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007  a day has no zone
    except ValueError:
        return False
    return True


_CHECKS = (_total, _claim_number, _sequence, _providers, _addresses, _services, _dates)
