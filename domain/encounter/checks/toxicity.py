"""Compare documented toxicity with the findings: a question to the provider, never a change (corrections A2, F).

Nothing here is used to treat a patient. The documented grade is coded. Only grades documented on the scale of the 2019
consensus are compared, since older scales grade differently.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta

from domain.encounter.context import EncounterContext
from domain.encounter.facts import Fact
from domain.events.care import Findings, MedicationAdministered, ToxicityAssessed
from domain.rulebook.rows import Window

SCALE = "astct_2019"
DEATH = 5
"""The patient may have died of either syndrome; findings do not show which."""
FEVER_C = 38.0
"""The consensus definition of fever, degrees Celsius (corrections F)."""

LOW_FLOW = frozenset({"low_flow_nasal", "blow_by"})
HIGH_FLOW = frozenset({"high_flow_nasal", "face_mask", "non_rebreather", "venturi"})
PRESSURE = frozenset({"cpap", "bipap", "ventilator"})
CANNULA, LOW_FLOW_L_MIN = "nasal_cannula", 6.0
"""Up to this flow a nasal cannula is low flow, liters per minute (corrections F)."""


def documented(context: EncounterContext) -> dict[str, int | None]:
    """The highest grade of each syndrome that a provider documented; None if it was never assessed."""
    grades = {
        "crs": [fact.data.crs_grade for fact in context.record.toxicities],
        "icans": [fact.data.icans_grade for fact in context.record.toxicities],
    }
    return {name: max((one for one in seen if one is not None), default=None) for name, seen in grades.items()}


def episodes(context: EncounterContext) -> Iterator[tuple[str, Fact[ToxicityAssessed], Fact[ToxicityAssessed] | None]]:
    """Each run of documented grades above zero: the syndrome, the first grade, and the grade 0 that ended it (or None)."""
    for name in ("crs", "icans"):
        begun: Fact[ToxicityAssessed] | None = None
        for fact in context.record.toxicities:
            grade = getattr(fact.data, f"{name}_grade")
            if grade is None:
                continue
            if grade and begun is None:
                begun = fact
            elif not grade and begun is not None:
                yield name, begun, fact
                begun = None
        if begun is not None:
            yield name, begun, None


def mixed_scales(context: EncounterContext) -> tuple[str, ...]:
    """Assessments with a grade above zero, if more than one scale was used: their grades do not compare."""
    graded = [f for f in context.record.toxicities if f.data.crs_grade or f.data.icans_grade]
    scales = {fact.data.scale for fact in graded}
    return tuple(fact.event_id for fact in graded) if len(scales) > 1 else ()


def suggested_crs(seen: Findings) -> int | None:
    """The consensus grade of cytokine release syndrome that fits the findings; None when findings are not sufficient."""
    if seen.death:
        return DEATH
    if seen.fever_explained:
        return 0
    if seen.temperature_c is None and not seen.fever_masked:
        return None
    if not seen.fever_masked and (seen.temperature_c or 0) < FEVER_C:
        return 0
    return max(1, _pressure_axis(seen), _oxygen_axis(seen))


def suggested_icans(seen: Findings) -> int | None:
    """The consensus grade of neurotoxicity that fits the findings; None when findings are not sufficient."""
    if seen.death:
        return DEATH
    axes = [
        axis for axis in (_ice(seen), _arousal(seen), _seizure(seen), _motor(seen), _edema(seen)) if axis is not None
    ]
    return max(axes) if axes else None


def grade_questions(context: EncounterContext) -> Iterator[tuple[str, str]]:
    """Assessments whose documented grade does not match the findings: (event, which grade)."""
    for fact in context.record.toxicities:
        if fact.data.scale != SCALE or fact.data.findings is None:
            continue
        pairs = (
            ("cytokine release syndrome", fact.data.crs_grade, suggested_crs(fact.data.findings)),
            ("neurotoxicity", fact.data.icans_grade, suggested_icans(fact.data.findings)),
        )
        if fact.data.findings.death and DEATH in (fact.data.crs_grade, fact.data.icans_grade):
            continue
        differing = [name for name, documented, fits in pairs if None not in (documented, fits) and documented != fits]
        if differing:
            yield fact.event_id, " and ".join(differing)


def reminders(context: EncounterContext) -> Iterator[str]:
    """The latest assessment, when the label names a drug for its grade and none was charted since."""
    graded = [fact for fact in context.record.toxicities if fact.data.crs_grade is not None]
    if not graded:
        return
    last = graded[-1]
    if not (_high(context, last) or _lasting(context, graded)):
        return
    start = _episode(graded)
    treated = any(m.data.indication == "crs" and m.occurred >= start.occurred for m in context.record.medications)
    if not treated:
        yield last.event_id


def drug_limits(context: EncounterContext) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Charted doses beyond the label limits of a drug: (which limit, events). For review by staff only."""
    by_drug: dict[str, list[Fact[MedicationAdministered]]] = {}
    for fact in context.record.medications:
        by_drug.setdefault(fact.data.drug, []).append(fact)
    for drug, doses in sorted(by_drug.items()):
        yield from _of_drug(context, drug, doses)


def _of_drug(
    context: EncounterContext, drug: str, doses: Sequence[Fact[MedicationAdministered]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    largest, interval = _limit(context, f"largest_dose.{drug}"), _limit(context, f"dose_interval.{drug}")
    for dose in doses:
        if largest is not None and largest.milligrams is not None and dose.data.dose_mg > largest.milligrams:
            yield f"{drug}: a dose above the label's largest", (dose.event_id,)
    for earlier, later in itertools.pairwise(doses):
        if interval is not None and later.occurred - earlier.occurred < timedelta(hours=interval.hours or 0):
            yield f"{drug}: doses closer than the label's interval", (earlier.event_id, later.event_id)
    for name, words in (("doses_in_a_day", "in a day"), ("doses_in_all", "in all")):
        row = _limit(context, f"{name}.{drug}")
        crowded = _crowded(doses, row) if row is not None else ()
        if crowded:
            yield f"{drug}: more doses {words} than the label has", crowded


def _limit(context: EncounterContext, key: str) -> Window | None:
    return context.rules.maybe(Window, context.today, key=key, product=context.product, indication=context.indication)


def _crowded(doses: Sequence[Fact[MedicationAdministered]], row: Window) -> tuple[str, ...]:
    span = timedelta(days=row.days or 0, hours=row.hours or 0)
    for start in doses:
        near = [d for d in doses if start.occurred <= d.occurred < start.occurred + span]
        if row.count is not None and len(near) > row.count:
            return tuple(d.event_id for d in near)
    return ()


def _high(context: EncounterContext, last: Fact[ToxicityAssessed]) -> bool:
    threshold = context.window("crs_grade").count
    return threshold is not None and (last.data.crs_grade or 0) >= threshold


def _lasting(context: EncounterContext, graded: Sequence[Fact[ToxicityAssessed]]) -> bool:
    """Low grades documented for longer than the label's period."""
    row = context.window("crs_low_grade")
    last = graded[-1]
    if (last.data.crs_grade or 0) < (row.count or 1):
        return False
    return last.occurred - _episode(graded).occurred > timedelta(hours=row.hours or 0)


def _episode(graded: Sequence[Fact[ToxicityAssessed]]) -> Fact[ToxicityAssessed]:
    """The first assessment of the run of grades above zero that includes the last one."""
    first = graded[-1]
    for fact in reversed(graded):
        if not fact.data.crs_grade:
            break
        first = fact
    return first


def _pressure_axis(seen: Findings) -> int:
    if (seen.vasopressors or 0) > 1:
        return 4
    if seen.vasopressors == 1 or seen.vasopressin:
        return 3
    return 2 if seen.hypotension else 0


def _oxygen_axis(seen: Findings) -> int:
    if seen.oxygen in PRESSURE:
        return 4
    cannula = seen.oxygen == CANNULA
    if seen.oxygen in HIGH_FLOW or (cannula and (seen.oxygen_l_min or 0) > LOW_FLOW_L_MIN):
        return 3
    return 2 if seen.oxygen in LOW_FLOW or cannula else 0


def _ice(seen: Findings) -> int | None:
    if seen.ice_score is None:
        return None
    if seen.ice_score == 0 and seen.arousal == "unarousable":
        return 4
    return next(grade for floor, grade in ((10, 0), (7, 1), (3, 2), (0, 3)) if seen.ice_score >= floor)


def _arousal(seen: Findings) -> int | None:
    """Spontaneous awakening alone indicates grade 1 only with other findings, so it counts for nothing by itself."""
    grades = {"spontaneous": 0, "voice": 2, "touch": 3, "unarousable": 4}
    return grades[seen.arousal] if seen.arousal is not None else None


def _seizure(seen: Findings) -> int | None:
    grades = {"none": 0, "resolved_rapidly": 3, "resolved_with_intervention": 3, "prolonged": 4}
    return grades[seen.seizure] if seen.seizure is not None else None


def _motor(seen: Findings) -> int | None:
    return None if seen.deep_focal_weakness is None else 4 if seen.deep_focal_weakness else 0


def _edema(seen: Findings) -> int | None:
    signs = (seen.posturing, seen.cranial_nerve_vi_palsy, seen.cushings_triad)
    if any(signs) or seen.oedema == "diffuse":
        return 4
    if seen.oedema == "focal":
        return 3
    return None if seen.oedema is None and all(sign is None for sign in signs) else 0
