"""Edits on diagnoses, procedures and the group they fall into (denials 8 and 10, and what a validator misses)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.claims import grouper
from domain.claims.diagnoses import highest
from domain.claims.edits.case import Case
from domain.claims.model import MOST_DIAGNOSES, Edit
from domain.claims.stay import cell_codes, coding_of
from domain.rulebook.rows import Code, Indication

_NAMED_ELSEWHERE = frozenset({"INVALID_CODE", "UNACCEPTABLE_PDX", "MANIFESTATION_AS_PDX", "E_CODE_AS_PDX"})

_EXEMPT_CHAPTERS = ("V", "W", "X", "Y", "Z")
"""Chapters of external causes and of factors, most of whose codes are exempt from the present-on-admission indicator."""


def toxicity(case: Case) -> Iterator[Edit]:
    """Documented CRS or ICANS that the abstract leaves out or grades otherwise (denial 8)."""
    coding = coding_of(case.draft)
    if coding is None:
        return
    grades = highest(case.bundle.toxicities)
    coded = {coding.data.principal_diagnosis, *(d.code for d in coding.data.other_diagnoses)}
    for role, grade in (("crs", grades.crs), ("icans", grades.icans)):
        if grade is None:
            continue
        family = {row.code: row.grade for row in case.desk.codes(role, case.draft.coding_day)}
        mine = [family[code] for code in coded if code in family]
        if mine and str(grade) not in mine:
            text = f"{role.upper()} coded with another grade than the highest documented"
            yield case.found("toxicity_not_coded", _other(case), text)
        elif not mine:
            yield case.found("toxicity_added", _other(case), role.upper())


def toxicity_missing(case: Case) -> Iterator[Edit]:
    """Documented toxicity that the claim carries nowhere."""
    grades = highest(case.bundle.toxicities)
    on_claim = {d.code for d in case.claim.diagnoses if d.role != "admitting"}
    for role, grade in (("crs", grades.crs), ("icans", grades.icans)):
        if grade and not on_claim & {row.code for row in case.desk.codes(role, case.draft.coding_day)}:
            yield case.found("toxicity_not_coded", _other(case), role.upper())


def toxicity_sequence(case: Case) -> Iterator[Edit]:
    """CRS or ICANS before, or without, the complication that the tabular list has coded first."""
    on = case.draft.coding_day
    cause = case.desk.code("therapy_complication", on).code
    toxic = {row.code for role in ("crs", "icans") for row in case.desk.codes(role, on)}
    codes = [d.code for d in case.claim.diagnoses if d.role != "admitting"]
    if early := [code for code in codes[: codes.index(cause) if cause in codes else None] if code in toxic]:
        yield case.found("toxicity_sequence", _other(case), f"{', '.join(early)} before {cause}")


def group(case: Case) -> Iterator[Edit]:
    """An infusion stay outside the CAR-T group, or one that no grouper version covers (denial 10)."""
    stay = case.bundle.stay
    if stay is None or not case.claim.ready or not case.bundle.given:
        return
    out = case.desk.discharged_on(stay)
    if case.claim.drg is None or out is None or grouper.version(out) is None:
        yield case.found("drg_not_grouped", "FL 71", f"discharge of {out.isoformat() if out else 'unknown date'}")
        return
    expected = case.desk.code("car_t_drg", out)
    if case.claim.drg != expected.code:
        yield case.found("wrong_drg", "FL 71", f"groups to {case.claim.drg}, expected {expected.code}")


def procedure(case: Case) -> Iterator[Edit]:
    """The coder's cell procedure against product, access and discharge date."""
    coding = coding_of(case.draft)
    if coding is None or not case.bundle.inpatient or not case.bundle.given or not case.claim.procedures:
        return
    expected = case.claim.procedures[0]
    coded = [p.code for p in coding.data.procedures]
    wrong = [code for code in coded if _administers_cells(case, code) and code != expected.code]
    if wrong:
        yield case.found("procedure_mismatch", expected.field, f"{', '.join(wrong)} coded, {expected.code} expected")
    elif expected.code not in coded:
        yield case.found("procedure_added", expected.field, expected.code)


def _administers_cells(case: Case, code: str) -> bool:
    """True for a cell code of any date, product or access, or another code of the same root that is past its end."""
    every = {row.code for row in case.desk.rules.table(Code) if row.role == "cell_administration_pcs"}
    return code in every | cell_codes(case.draft)


def principal(case: Case) -> Iterator[Edit]:
    """A diagnosis that cannot be principal in a stay (G341)."""
    if not case.bundle.inpatient:
        return
    for diagnosis in case.claim.diagnoses:
        if diagnosis.role == "principal" and not grouper.principal_is_acceptable(diagnosis.code, case.draft.coding_day):
            yield case.found("unacceptable_principal", diagnosis.field, diagnosis.code)
    if case.claim.ready and not any(d.role == "principal" for d in case.claim.diagnoses):
        yield case.found("unacceptable_principal", "FL 67", "no principal diagnosis on the claim")


def validity(case: Case) -> Iterator[Edit]:
    """Codes that are not valid on the day of service or discharge."""
    on = case.draft.coding_day
    for diagnosis in case.claim.diagnoses:
        if not grouper.diagnosis_is_valid(diagnosis.code, on):
            yield case.found("code_not_valid", diagnosis.field, f"{diagnosis.code} on {on.isoformat()}")
    beside = next((d.code for d in case.claim.diagnoses if grouper.diagnosis_is_valid(d.code, on)), None)
    for done in case.claim.procedures if beside else ():
        if not grouper.procedure_is_valid(done.code, on, beside or ""):
            yield case.found("code_not_valid", done.field, f"{done.code} on {on.isoformat()}")


def code_editor(case: Case) -> Iterator[Edit]:
    """What else the Medicare Code Editor finds in a coded stay."""
    coded = coded_case(case, case.draft.coding_day)
    if coded and (rest := [name for name in grouper.findings(coded) if name not in _NAMED_ELSEWHERE]):
        yield case.found("code_editor", "FL 67", ", ".join(name.replace("_", " ").lower() for name in rest))


def coded_case(case: Case, on: date) -> grouper.Case | None:
    """The stay as grouper and code editor read it; None while it is not coded or not ended."""
    stay, chosen = case.bundle.stay, [d for d in case.claim.diagnoses if d.role == "principal"]
    if stay is None or not chosen or stay.ended_at is None:
        return None
    patient = case.desk.referral.data.patient
    return grouper.Case(
        discharged=on,
        age=grouper.years(patient.birth_date, case.desk.admitted_on(stay)),
        sex=patient.sex.value,
        discharge_status=stay.discharge_status or "",
        principal=(chosen[0].code, chosen[0].poa),
        others=tuple((d.code, d.poa) for d in case.claim.diagnoses if d.role == "other"),
        procedures=tuple(p.code for p in case.claim.procedures),
    )


def admitting(case: Case) -> Iterator[Edit]:
    """The abstract of a stay that names no admitting diagnosis; the file must carry one."""
    coding = coding_of(case.draft)
    if case.bundle.inpatient and coding is not None and coding.data.admitting_diagnosis is None:
        yield case.found("admitting_assumed", case.draft.location("admitting_diagnosis", case.draft.coding_day).field)


def room(case: Case) -> Iterator[Edit]:
    """Diagnoses that the form has no room for."""
    coded = sum(d.role != "admitting" for d in case.claim.diagnoses)
    most = MOST_DIAGNOSES[case.claim.form]
    if coded > most:
        yield case.found("diagnoses_cut", _other(case), f"{coded} coded, room for {most}")


def present_on_admission(case: Case) -> Iterator[Edit]:
    """A coded diagnosis of a stay without its indicator, of a chapter that is not exempt as a whole."""
    coding = coding_of(case.draft)
    if coding is None or not case.bundle.inpatient:
        return
    principal = (coding.data.principal_diagnosis, coding.data.principal_poa)
    coded = [principal, *((d.code, d.poa) for d in coding.data.other_diagnoses)]
    if bare := [code for code, poa in coded if poa is None and not code.startswith(_EXEMPT_CHAPTERS)]:
        yield case.found("poa_missing", _other(case), ", ".join(bare))


def indication(case: Case) -> Iterator[Edit]:
    """Age, diagnosis and remission against the product's indication (G33, G82, corrections B18)."""
    desk, first = case.desk, case.bundle.first
    row = desk.rules.one(Indication, first, product=desk.product, key=desk.indication)
    age = grouper.years(desk.referral.data.patient.birth_date, first)
    if (row.age_min is not None and age < row.age_min) or (row.age_max is not None and age > row.age_max):
        yield case.found("age_product", "birth date", row.title)
    codes = {d.code for d in case.claim.diagnoses if d.role != "admitting"}
    if case.claim.letter != "D" and codes and not any(code.startswith(row.diagnosis_prefixes) for code in codes):
        yield case.found("diagnosis_product", "FL 67", row.title)
    if codes & set(row.remission_codes):
        yield case.found("remission_diagnosis", "FL 67", ", ".join(sorted(codes & set(row.remission_codes))))


def _other(case: Case) -> str:
    return case.draft.location("other_diagnosis", case.draft.coding_day).field


CHECKS = (
    toxicity,
    toxicity_missing,
    toxicity_sequence,
    group,
    procedure,
    principal,
    validity,
    code_editor,
    admitting,
    room,
    present_on_admission,
    indication,
)
