"""Planned days from a collection on the judged day to the end of monitoring (G60, G85-109). A plan, never an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from domain.encounter.context import EncounterContext
from domain.preflight.answer import PlannedDate
from domain.rulebook.rows import Regimen

MONITORING = ("monitoring_daily", "monitoring_total")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The planned days, and the two that gates are judged for; None where the rulebook has no row for the product."""

    dates: tuple[PlannedDate, ...]
    lymphodepletion: date | None = None
    infusion: date | None = None


def schedule(context: EncounterContext) -> Schedule:
    """Collection today, release by the product's window, product at the center, lymphodepletion, day 0, monitoring.

    Raises:
        NoRule: a window that the plan needs is not in the rulebook.
    """
    collection = _day("collection", context.today, "on the judged day: nothing is booked")
    if context.product_row(context.today) is None or context.indication_row(context.today) is None:
        return Schedule((collection,))
    coming = tuple(_coming(context))
    ready = coming[-1].last + timedelta(days=1)
    regimen = context.regimen(ready)
    if regimen is None:
        zero = ready
        return Schedule((collection, *coming, _zero(zero, None), *_monitoring(context, zero)), None, zero)
    zero = ready - timedelta(days=_days(regimen)[0])
    doses = _lymphodepletion(regimen, zero)
    return Schedule((collection, *coming, doses, _zero(zero, regimen), *_monitoring(context, zero)), doses.first, zero)


def _coming(context: EncounterContext) -> Iterator[PlannedDate]:
    """Release, where the product has a window of its own, and arrival at the center."""
    product, start = context.product_row(context.today), context.today
    assert product is not None
    if product.vein_to_vein_days is None:
        row = context.window("vein_to_vein", start)
        last = start + timedelta(days=row.days or 0)
        yield PlannedDate(
            what="product at the center", first=start, last=last, assumption=f"{row.title} ({row.citation})"
        )
        return
    shortest, longest = product.vein_to_vein_days
    release = PlannedDate(
        what="expected release",
        first=start + timedelta(days=shortest),
        last=start + timedelta(days=longest),
        assumption=f"the product's window of {shortest} to {longest} days from the collection ({product.citation})",
    )
    yield release
    shipped, received = context.window("shipped", release.last), context.window("site_receipt", release.last)
    way = (shipped.days or 0) + (received.days or 0)
    yield PlannedDate(
        what="product at the center",
        first=release.first,
        last=release.last + timedelta(days=way),
        assumption=f"at most {way} days for shipment and receipt ({shipped.id}, {received.id})",
    )


def _lymphodepletion(regimen: Regimen, zero: date) -> PlannedDate:
    first, last = _days(regimen)[0], _days(regimen)[-1]
    drugs = "; ".join(f"{dose.drug} on {', '.join(f'{day:+d}' for day in sorted(dose.days))}" for dose in regimen.doses)
    return PlannedDate(
        what="lymphodepletion",
        first=zero + timedelta(days=first),
        last=zero + timedelta(days=last),
        assumption=f"begins the day after the product is at the center at the latest; days of the label: {drugs} "
        f"({regimen.citation})",
    )


def _days(regimen: Regimen) -> list[int]:
    return sorted({day for dose in regimen.doses for day in dose.days})


def _zero(zero: date, regimen: Regimen | None) -> PlannedDate:
    why = f"day 0 of {regimen.id}" if regimen else "the day after the product is at the center: no regimen on file"
    return _day("infusion (day 0)", zero, why)


def _monitoring(context: EncounterContext, zero: date) -> Iterator[PlannedDate]:
    for key in MONITORING:
        row = context.window(key, zero)
        yield PlannedDate(
            what=row.title,
            first=zero + timedelta(days=1),
            last=zero + timedelta(days=row.days or 0),
            assumption=f"{row.days} days after day 0 ({row.citation})" + (f"; {row.doubt}" if row.doubt else ""),
        )


def _day(what: str, on: date, assumption: str) -> PlannedDate:
    return PlannedDate(what=what, first=on, last=on, assumption=assumption)
