"""Draws journeys: the same rates, seed and number give the same journey."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from app.tools.cohort.rates import Path, PayerShare, Rates

DAYS_A_YEAR = 365.2425
MEMBER_LETTERS = "ACDEFGHJKMNPQRTUVWXY"
SEXES = ("female", "male")
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Course:
    """A toxicity: highest grade (0 for none), first and last day after the infusion."""

    grade: int
    first: int
    last: int

    @property
    def peak(self) -> int:
        return min(self.first + 1, self.last)

    def on(self, day: int) -> int:
        """Returns the grade of a day: the highest on the peak day, at most grade 1 on others."""
        if not self.first <= day <= self.last:
            return 0
        return self.grade if day == self.peak else min(self.grade, 1)


@dataclass(frozen=True, slots=True)
class Journey:
    """One synthetic encounter. `anchor` is the date of its infusion, day 0."""

    run: str
    template: str
    indication: str
    anchor: date
    payer: str
    member: str
    family: str
    given: str
    sex: str
    age_days: int
    crs: Course
    icans: Course
    collected: int
    replacement_days: int | None
    moved_days: int | None
    missing_document: float | None
    document_delay: int | None
    coding_late: bool
    withdrawn: int | None
    withdrawal_reason: str


def draw(rates: Rates, seed: int, number: int, until: date, days: int) -> Journey:
    """Returns the journey of a number; its infusion is in the `days` before `until` or in the coming weeks.

    Args:
        until: the last day with events.
    """
    dice = Random(f"{seed}/{number}")  # noqa: S311 a cohort must be the same for the same seed
    path = dice.choices(rates.paths, [each.weight for each in rates.paths])[0]
    kind = path.indication
    payer = _payer(dice, rates, kind)
    missing = dice.random() if _happens(dice, rates, "document_missing", kind) else None
    never = _happens(dice, rates, "document_never_arrives", kind)
    withdrawn = _day(dice, rates, "withdrawal") if _happens(dice, rates, "withdrawn", kind) else None
    return Journey(
        run=f"s{seed}n{number:05d}",
        template=path.template,
        indication=kind,
        anchor=until + timedelta(days=dice.randint(-days, rates.span("coming")[1])),
        payer=payer.key,
        member=_member(dice, payer.member),
        family=dice.choice(rates.names.family),
        given=dice.choice(rates.names.given),
        sex=dice.choice(SEXES),
        age_days=round(dice.uniform(payer.ages[0], payer.ages[1]) * DAYS_A_YEAR),
        crs=_course(dice, rates, "crs", path),
        icans=_course(dice, rates, "icans", path),
        collected=_day(dice, rates, "collection"),
        replacement_days=_day(dice, rates, "replacement")
        if _happens(dice, rates, "manufacture_failed", kind)
        else None,
        moved_days=_day(dice, rates, "moved") if _happens(dice, rates, "rescheduled", kind) else None,
        missing_document=missing,
        document_delay=None if never else _day(dice, rates, "document_delay"),
        coding_late=_happens(dice, rates, "coding_late", kind),
        withdrawn=withdrawn,
        withdrawal_reason=dice.choice(("progression", "death", "choice")),
    )


def _payer(dice: Random, rates: Rates, indication: str) -> PayerShare:
    payers = rates.payers_of(indication)
    return dice.choices(payers, [each.weight for each in payers])[0]


def _happens(dice: Random, rates: Rates, key: str, indication: str) -> bool:
    return dice.random() < rates.share(key, indication)


def _day(dice: Random, rates: Rates, key: str) -> int:
    first, last = rates.span(key)
    return dice.randint(first, last)


def _course(dice: Random, rates: Rates, syndrome: str, path: Path) -> Course:
    """Draws grade 3 or 4 with the share of severe courses, else 1 or 2 with the share of any grade."""
    any_grade = rates.share(f"{syndrome}_any", path.indication)
    severe = rates.share(f"{syndrome}_severe", path.indication)
    roll, high = dice.random(), dice.random() < HALF
    grade = 0 if roll >= any_grade else (3 + high if roll < severe else 1 + high)
    first = path.onset or _day(dice, rates, f"{syndrome}_onset")
    return Course(grade, first, first + _day(dice, rates, f"{syndrome}_length") - 1)


def _member(dice: Random, pattern: str) -> str:
    pools: dict[str, Sequence[str]] = {
        "9": string.digits,
        "A": MEMBER_LETTERS,
        "*": MEMBER_LETTERS + string.digits,
    }
    return "".join(dice.choice(pools[sign]) if sign in pools else sign for sign in pattern)
