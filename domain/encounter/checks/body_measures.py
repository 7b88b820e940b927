"""Weight, height and body surface of a referral against each other: a question to people, never a change (corrections A2).

Doses are prescribed elsewhere and billed as given; but a weight in pounds that stands as kilograms goes into orders, and
whoever documented it can still look again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from domain.alerts.model import Finding
from domain.days import age_on
from domain.encounter.checks.regimen import MOSTELLER
from domain.encounter.context import EncounterContext
from domain.events.access import ReferralReceived
from domain.rulebook.rows import BodyMeasure

HUNDRED = Decimal(100)
"""Centimetres of a metre, and per cent."""
WORDS = {
    "bmi": "weight against height",
    "implied_height_cm": "weight against body surface",
    "surface_percent": "body surface against weight and height",
}


def questions(context: EncounterContext) -> tuple[str, ...]:
    """Which measures of an adult's referral lie beyond the rulebook's bounds, in words and without values."""
    referral = context.record.referral
    if referral is None:
        return ()
    age = age_on(referral.data.patient.birth_date, context.today)
    found = []
    for measure, value in _measures(referral.data):
        row = context.rules.maybe(BodyMeasure, context.today, measure=measure)
        if row is not None and age >= row.age_min and not row.minimum <= value <= row.maximum:
            found.append(WORDS[measure])
    return tuple(found)


def implausible(context: EncounterContext) -> Iterator[Finding]:
    """The question, until cells were given: what comes after is billed as documented."""
    asked = questions(context)
    referral = context.record.referral
    if asked and referral is not None and not context.record.given:
        yield Finding("body_measures_implausible", events=(referral.event_id,), detail="; ".join(asked))


def _measures(data: ReferralReceived) -> Iterator[tuple[str, Decimal]]:
    weight, height, surface = data.weight_kg, data.height_cm, data.bsa_m2
    if height is not None:
        yield "bmi", weight / (height / HUNDRED) ** 2
    if height is not None and surface is not None:
        yield "surface_percent", HUNDRED * surface / (height * weight / MOSTELLER).sqrt()
    elif surface is not None:
        yield "implied_height_cm", MOSTELLER * surface**2 / weight
