"""Compare weight, height and body surface of a referral. Staff review the result; nothing is changed (corrections A2).

Doses are prescribed in another system and billed as given. But a weight in pounds recorded as kilograms affects orders, and
the staff member who documented it can still check.
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
"""Centimeters in a meter, and the factor for percent."""
WORDS = {
    "bmi": "weight against height",
    "implied_height_cm": "weight against body surface",
    "surface_percent": "body surface against weight and height",
}


def questions(context: EncounterContext) -> tuple[str, ...]:
    """Which measures of an adult's referral are outside the rulebook's limits, as text without values."""
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
    """The finding about body measures, until cells are infused: later services are billed as documented."""
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
