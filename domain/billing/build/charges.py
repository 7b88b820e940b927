"""The charge of a line: posted to the patient account, else from the chargemaster of the site file.

A posted charge is used once. On the claim of a stay, charges without a documented service become separate lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from domain.billing.build.draft import Draft, LineDraft
from domain.billing.model import Reason
from domain.encounter.facts import Fact
from domain.events.revenue import ChargePosted

_CENT = Decimal("0.01")


def price(draft: Draft) -> frozenset[str]:
    """Price every line. Returns the ids of the events whose posted charges the claim used."""
    ours = [fact for fact in draft.context.record.charges if _may_use(draft, fact)]
    used: list[Fact[ChargePosted]] = []
    used += _match(draft.lines, ours, used, by_code=True)
    used += _match([line for line in draft.lines if line.charge is None], ours, used, by_code=False)
    for line in draft.lines:
        if line.charge is None:
            _from_chargemaster(draft, line)
    if draft.stay:
        rest = [fact for fact in ours if fact not in used and draft.context.stay_of(fact.data)]
        _carry(draft, rest)
        used += rest
    return frozenset(fact.event_id for fact in used)


def _may_use(draft: Draft, fact: Fact[ChargePosted]) -> bool:
    """True for charges of the stay, and for charges without a stay on the days of the claim's services."""
    if (stay := draft.context.stay_of(fact.data)) is not None:
        return draft.stay is not None and stay == draft.stay.id
    return fact.data.date in {line.on for line in draft.lines}


def _match(
    lines: Sequence[LineDraft],
    charges: Sequence[Fact[ChargePosted]],
    taken: Sequence[Fact[ChargePosted]],
    *,
    by_code: bool,
) -> list[Fact[ChargePosted]]:
    """Give posted amounts to lines of the same day with the same service code, or else the same revenue code."""
    groups: dict[tuple[str, date], list[LineDraft]] = {}
    for line in lines:
        value = line.hcpcs if by_code else line.revenue_code
        if value is not None and line.charge is None:
            groups.setdefault((value, line.on), []).append(line)
    used: list[Fact[ChargePosted]] = []
    for (value, on), same in groups.items():
        fitting = [
            f for f in charges if f not in taken and (_value(f.data, by_code=by_code), f.data.date) == (value, on)
        ]
        if fitting:
            _share(same, fitting)
            used += fitting
    return used


def _value(charge: ChargePosted, *, by_code: bool) -> str | None:
    if by_code:
        return charge.hcpcs
    return charge.revenue_code if charge.hcpcs is None else None


def _share(lines: Sequence[LineDraft], charges: Sequence[Fact[ChargePosted]]) -> None:
    """Spread the posted amount over lines of one code and day by their units; the last line takes the rounding."""
    amount = sum((fact.data.amount for fact in charges), Decimal(0))
    units = sum(line.units for line in lines)
    left = amount
    for line in lines[:-1]:
        part = (amount * line.units / units).quantize(_CENT, ROUND_HALF_UP)
        line.charge, left = part, left - part
    lines[-1].charge = left
    for line in lines:
        line.posted = tuple(fact.event_id for fact in charges)


def _from_chargemaster(draft: Draft, line: LineDraft) -> None:
    item = draft.context.site.price(line.service)
    if item is not None:
        line.charge = (item.amount * (line.units if item.per == "unit" else 1)).quantize(_CENT, ROUND_HALF_UP)


def _carry(draft: Draft, rest: Iterable[Fact[ChargePosted]]) -> None:
    """Add posted charges of the stay as separate lines; days of one accommodation are one line."""
    stay = draft.stay
    assert stay is not None
    admitted = draft.context.admitted_on(stay)
    rooms = {row.code: row for row in draft.context.codes("accommodation", admitted)}
    by_room: dict[str, list[Fact[ChargePosted]]] = {}
    for fact in rest:
        if fact.data.revenue_code in rooms:
            by_room.setdefault(fact.data.revenue_code, []).append(fact)
        else:
            draft.lines.append(_posted_line(fact))
    for code, facts in by_room.items():
        events = tuple(fact.event_id for fact in facts)
        reason = draft.reason_from(rooms[code], "Room days as posted to the patient account.", *events)
        units, amount = sum(f.data.units for f in facts), sum((f.data.amount for f in facts), Decimal(0))
        line = LineDraft("room_and_board", admitted, units, code, None, rooms[code].title, reason, measure="DA")
        line.charge, line.posted = amount, events
        draft.lines.append(line)


def _posted_line(fact: Fact[ChargePosted]) -> LineDraft:
    data = fact.data
    text = "Posted to the patient account."
    reason = Reason(rule="charge.posted", citation="patient account", events=(fact.event_id,), text=text)
    line = LineDraft("posted", data.date, data.units, data.revenue_code, data.hcpcs, "as posted to the account", reason)
    line.charge, line.posted = data.amount, (fact.event_id,)
    return line
