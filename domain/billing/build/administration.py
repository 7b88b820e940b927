"""Administration codes of chemotherapy and other drugs from documented start and stop times (G213-216, G230)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

_PUSH_MINUTES = 15
"""An infusion of this length or less is a push (CPT introductory notes to infusions)."""
_HOUR = 60
_BEYOND = 30
"""An additional hour counts after more than this many minutes (same notes)."""


@dataclass(frozen=True, slots=True)
class Given:
    """One charted administration."""

    drug: str
    started_at: datetime
    ended_at: datetime
    push: bool
    event: str


@dataclass(frozen=True, slots=True)
class Service:
    """An administration service: role of its code, units, the events it is read from, and the reason in words."""

    role: str
    units: int
    events: tuple[str, ...]
    text: str = "From the charted start and stop times of the day."


def additional_hours(minutes: int) -> int:
    """Additional hours after the first: each needs more than 30 minutes beyond the one before."""
    return max(0, (minutes - _HOUR + _HOUR - _BEYOND - 1) // _HOUR)


def chemotherapy(day: Iterable[Given]) -> tuple[Service, ...]:
    """The services of one patient, facility and day. Infusions rank before pushes; the first of them is initial."""
    drugs = [_DrugDay.of(list(same)) for _, same in groupby(sorted(day, key=_by_drug), key=lambda g: g.drug)]
    drugs.sort(key=lambda d: (d.push, d.started_at, d.drug))
    services: list[Service] = []
    longer: list[Service] = []
    for index, drug in enumerate(drugs):
        services.append(Service(_role(drug.push, index == 0), 1, drug.events, drug.explanation(first=index == 0)))
        if not drug.push and (extra := additional_hours(drug.minutes)):
            text = f"{drug.drug} ran {drug.minutes} minutes: {_hours_text(extra)}"
            longer.append(Service("chemo_infusion_hour", extra, drug.events, text))
    return _joined([*services, *longer])


def therapeutic(started_at: datetime, ended_at: datetime | None, event: str) -> tuple[Service, ...]:
    """The services of one outpatient infusion of a drug that is not chemotherapy; one hour where no end is charted."""
    if ended_at is None:
        return (Service("therapeutic_infusion", 1, (event,), "One infusion; no end is charted, so one hour."),)
    minutes = _minutes(ended_at - started_at)
    services = [Service("therapeutic_infusion", 1, (event,), f"The infusion ran {minutes} minutes: the first hour.")]
    if extra := additional_hours(minutes):
        text = f"The infusion ran {minutes} minutes: {_hours_text(extra)}"
        services.append(Service("therapeutic_infusion_hour", extra, (event,), text))
    return tuple(services)


def _hours_text(hours: int) -> str:
    return f"{hours} after the first hour; each counts after more than {_BEYOND} minutes."


def overlap(day: Iterable[Given]) -> bool:
    """True when two infusions of different drugs run at the same time."""
    infusions = sorted((g for g in day if not g.push), key=lambda g: g.started_at)
    return any(a.drug != b.drug and b.started_at < a.ended_at for a, b in pairwise(infusions))


@dataclass(frozen=True, slots=True)
class _DrugDay:
    drug: str
    started_at: datetime
    minutes: int
    push: bool
    events: tuple[str, ...]

    @classmethod
    def of(cls, given: Sequence[Given]) -> _DrugDay:
        minutes = sum(_minutes(g.ended_at - g.started_at) for g in given)
        push = all(g.push or _minutes(g.ended_at - g.started_at) <= _PUSH_MINUTES for g in given)
        return cls(given[0].drug, min(g.started_at for g in given), minutes, push, tuple(g.event for g in given))

    def explanation(self, *, first: bool) -> str:
        """Why the drug has its code."""
        if self.push:
            kind = f"a push, given as one or over no more than {_PUSH_MINUTES} minutes"
            return f"{self.drug}: {kind}, {'the first service' if first else 'another drug'} of the day."
        kind = "the first infusion of the day, up to an hour" if first else "the next drug, up to an hour"
        return f"{self.drug} ran {self.minutes} minutes: {kind}."


def _by_drug(given: Given) -> tuple[str, datetime, str]:
    return (given.drug, given.started_at, given.event)


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)


def _role(push: bool, first: bool) -> str:
    if push:
        return "chemo_push" if first else "chemo_push_additional"
    return "chemo_infusion_initial" if first else "chemo_infusion_sequential"


def _joined(services: Sequence[Service]) -> tuple[Service, ...]:
    """One line per role, with units and events combined."""
    roles = dict.fromkeys(service.role for service in services)
    return tuple(
        Service(
            role,
            sum(s.units for s in services if s.role == role),
            tuple(event for s in services if s.role == role for event in s.events),
            " ".join(dict.fromkeys(s.text for s in services if s.role == role)),
        )
        for role in roles
    )
