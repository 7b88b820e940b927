"""Diagnoses of a claim: the coder's, else the referral's, with the chemotherapy encounter and documented toxicity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from domain.billing.build.draft import Draft
from domain.billing.build.stay import coding_of
from domain.billing.model import MOST_DIAGNOSES, Diagnosis, Form, Reason
from domain.encounter.facts import Fact
from domain.events.care import ToxicityAssessed

_Role = Literal["principal", "admitting", "other"]


@dataclass(frozen=True, slots=True)
class Grades:
    """The highest documented grades, None where none was documented, with the events they are read from."""

    crs: int | None
    icans: int | None
    events: tuple[str, ...]


def highest(toxicities: Sequence[Fact[ToxicityAssessed]]) -> Grades:
    """The provider's highest documented grade of each kind; a computed grade is never used (corrections F)."""
    crs = max((t.data.crs_grade or 0 for t in toxicities), default=0)
    icans = max((t.data.icans_grade or 0 for t in toxicities), default=0)
    events = tuple(t.event_id for t in toxicities if _counts(t.data, crs, icans))
    return Grades(crs or None, icans or None, events)


def _counts(data: ToxicityAssessed, crs: int, icans: int) -> bool:
    return bool((crs and data.crs_grade == crs) or (icans and data.icans_grade == icans))


def add_diagnoses(draft: Draft) -> None:
    """The diagnoses in their order, each with its form field and, in a stay, its present-on-admission indicator."""
    with draft.section():
        _coded_or_referred(draft)
    with draft.section():
        _toxicity(draft)
    with draft.section():
        _history(draft)
    with draft.section():
        _first_what_must_go_out(draft)


def _coded_or_referred(draft: Draft) -> None:
    coding = coding_of(draft)
    if coding:
        text, events = "From the coder's abstract.", (coding.event_id,)
        if draft.inpatient:
            admitting = coding.data.admitting_diagnosis or coding.data.principal_diagnosis
            without = "The abstract has no admitting diagnosis; the principal diagnosis is used."
            reason = text if coding.data.admitting_diagnosis else without
            _add(draft, "admitting", admitting, None, _plain(draft, "admitting_diagnosis", reason, events))
        principal = _plain(draft, "principal_diagnosis", text, events)
        _add(draft, "principal", coding.data.principal_diagnosis, coding.data.principal_poa, principal)
        for other in coding.data.other_diagnoses:
            _add(draft, "other", other.code, other.poa, _plain(draft, "other_diagnosis", text, events))
        return
    _uncoded(draft)


def _uncoded(draft: Draft) -> None:
    """Without an abstract: toxicity first when it was treated as an outpatient, else the disease."""
    services, referral = draft.services, draft.context.referral
    disease = _plain(draft, "principal_diagnosis", "The diagnosis on the referral.", (referral.event_id,))
    code = referral.data.diagnosis
    if services.letter == "B" and not draft.inpatient:
        _with_chemotherapy(draft, code, disease)
    elif services.letter == "D":
        if not draft.inpatient:
            _toxicity(draft)
            _add(draft, "other", code, None, disease)
    else:
        _add(draft, "principal", code, None, disease)


def _with_chemotherapy(draft: Draft, disease_code: str, disease: Reason) -> None:
    on = draft.coding_day
    row = draft.code("chemotherapy_encounter", on)
    encounter = draft.reason_from(
        row, "The encounter was for chemotherapy.", *(f.event_id for f in draft.services.doses)
    )
    first = draft.policy("chemotherapy_encounter_order", on).value == "first"
    order = [(row.code, encounter), (disease_code, disease)]
    for index, (code, reason) in enumerate(order if first else reversed(order)):
        _add(draft, "other" if index else "principal", code, None, reason)


def _toxicity(draft: Draft) -> None:
    """Add documented CRS and ICANS with their complication code, where the abstract does not have them (G342, G439)."""
    grades = highest(draft.services.toxicities)
    treated = draft.services.letter == "D" and not draft.inpatient
    if not (grades.crs or grades.icans or treated):
        return
    on = draft.coding_day
    if draft.policy("toxicity_codes", on).value != "add":
        return
    complication = draft.code("therapy_complication", on)
    events = grades.events or tuple(f.event_id for f in draft.services.medications)
    reason = draft.reason_from(complication, "Complication of the cell therapy.", *events)
    stood = len(draft.diagnoses)
    _add_missing(draft, complication.code, {complication.code}, reason)
    if len(draft.diagnoses) > stood:
        _before_what_it_caused(draft)
    for role, grade in (("crs", grades.crs), ("icans", grades.icans)):
        wanted = str(grade) if grade else "unspecified" if treated and _treated_for(draft, role) else None
        if wanted is None:
            continue
        row = draft.code(role, on, grade=wanted)
        every = {r.code for r in draft.context.codes(role, on)}
        _add_missing(
            draft, row.code, every, draft.reason_from(row, "The provider's highest documented grade.", *events)
        )


def _before_what_it_caused(draft: Draft) -> None:
    """Move an added complication code before the coder's CRS and ICANS; the cause is coded first (corrections B13)."""
    toxic = {row.code for role in ("crs", "icans") for row in draft.context.codes(role, draft.coding_day)}
    first = next((n for n, d in enumerate(draft.diagnoses) if d.role == "other" and d.code in toxic), None)
    if first is not None:
        draft.diagnoses.insert(first, draft.diagnoses.pop())


def _first_what_must_go_out(draft: Draft) -> None:
    """Where the form cannot hold all diagnoses, put the toxicity of the therapy before the coder's other diagnoses."""
    most = MOST_DIAGNOSES[Form.CMS1500 if draft.professional else Form.UB04]
    if sum(d.role != "admitting" for d in draft.diagnoses) <= most:
        return
    roles = ("therapy_complication", "crs", "icans")
    toxic = {row.code for role in roles for row in draft.context.codes(role, draft.coding_day)}
    draft.diagnoses.sort(key=lambda d: (d.role == "other", d.role == "other" and d.code not in toxic))


def _treated_for(draft: Draft, role: str) -> bool:
    return any(fact.data.indication == role for fact in draft.services.medications)


def _history(draft: Draft) -> None:
    if draft.services.letter != "D" or not draft.diagnoses:
        return
    on = draft.coding_day
    if draft.policy("cell_therapy_history", on).value == "add":
        row = draft.code("cell_therapy_history", on)
        events = tuple(event for i in draft.context.record.given for event in i.events)
        _add_missing(
            draft, row.code, {row.code}, draft.reason_from(row, "CAR-T cells were given before.", *events), poa=False
        )


def _add_missing(draft: Draft, code: str, family: set[str], reason: Reason, *, poa: bool = True) -> None:
    if family & {d.code for d in draft.diagnoses if d.role != "admitting"}:
        return
    role: _Role = "other" if any(d.role == "principal" for d in draft.diagnoses) or draft.inpatient else "principal"
    _add(draft, role, code, _present(draft) if poa else None, reason)


def _present(draft: Draft) -> str:
    """The POA indicator: present when a readmission documents it by the day of admission; else not present."""
    stay, first = draft.stay, min((t.data.at for t in draft.services.toxicities), default=None)
    if stay is None or first is None:
        return "Y"
    return (
        "Y"
        if draft.services.letter == "D" and draft.context.day(first, stay.facility) <= draft.context.admitted_on(stay)
        else "N"
    )


def _plain(draft: Draft, value: str, text: str, events: tuple[str, ...]) -> Reason:
    location = draft.location(value, draft.coding_day)
    return Reason(rule=location.id, citation=location.citation, events=events, text=text)


def _add(draft: Draft, role: _Role, code: str, poa: str | None, reason: Reason) -> None:
    location = draft.location(f"{role}_diagnosis", draft.coding_day)
    indicator = poa if draft.inpatient and role != "admitting" else None
    draft.diagnoses.append(Diagnosis(role=role, code=code, poa=indicator, field=location.field, reason=reason))
