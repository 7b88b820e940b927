"""Billing units from milligrams given and discarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal


@dataclass(frozen=True, slots=True)
class Units:
    """Units of the line for what was given and of the line for what was discarded; the second is often zero."""

    given: int
    wasted: int


def _up(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_CEILING))


def per_line(given_mg: Decimal, wasted_mg: Decimal, mg_per_unit: Decimal) -> Units:
    """Units of one administration, rounded up; discarded amounts inside the rounding are not billed again.

    Both lines together cover what was drawn and exceed it by less than one unit (G319-320, corrections B7-B8).
    """
    given = _up(given_mg / mg_per_unit)
    return Units(given, _up((given_mg + wasted_mg) / mg_per_unit) - given)


def per_course(doses_mg: Sequence[Decimal], mg_per_unit: Decimal) -> tuple[int, ...]:
    """Units of each dose when the course is rounded once, as the guide does (G143-144)."""
    billed, drawn, units = 0, Decimal(0), []
    for dose in doses_mg:
        drawn += dose
        units.append(_up(drawn / mg_per_unit) - billed)
        billed += units[-1]
    return tuple(units)


def spread(total: int, parts: int) -> tuple[int, ...]:
    """A printed total over the days of a course, the larger parts first."""
    return tuple(total // parts + (1 if index < total % parts else 0) for index in range(parts))
