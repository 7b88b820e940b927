"""Edits on diagnoses, procedures and MS-DRG (denials 8 and 10, and errors that a validator misses)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.billing.build import grouper
from domain.billing.build.diagnoses import highest
from domain.billing.build.stay import cell_codes, coding_of
from domain.billing.edits.review import ClaimReview
from domain.billing.model import MOST_DIAGNOSES, Edit
from domain.rulebook.rows import Code, Indication

_NAMED_ELSEWHERE = frozenset({"INVALID_CODE", "UNACCEPTABLE_PDX", "MANIFESTATION_AS_PDX", "E_CODE_AS_PDX"})

_EXEMPT_CHAPTERS = ("V", "W", "X", "Y", "Z")
"""Chapters of external causes and of factors, most of whose codes are exempt from the present-on-admission indicator."""


def toxicity(review: ClaimReview) -> Iterator[Edit]:
    """Documented CRS or ICANS that the abstract omits or codes with another grade (denial 8)."""
    coding = coding_of(review.draft)
    if coding is None:
        return
    grades = highest(review.services.toxicities)
    coded = {coding.data.principal_diagnosis, *(d.code for d in coding.data.other_diagnoses)}
    for role, grade in (("crs", grades.crs), ("icans", grades.icans)):
        if grade is None:
            continue
        family = {row.code: row.grade for row in review.context.codes(role, review.draft.coding_day)}
        mine = [family[code] for code in coded if code in family]
        if mine and str(grade) not in mine:
            text = f"{role.upper()} coded with another grade than the highest documented"
            yield review.found("toxicity_not_coded", _other(review), text)
        elif not mine:
            yield review.found("toxicity_added", _other(review), role.upper())


def toxicity_missing(review: ClaimReview) -> Iterator[Edit]:
    """Documented toxicity that is not on the claim."""
    grades = highest(review.services.toxicities)
    on_claim = {d.code for d in review.claim.diagnoses if d.role != "admitting"}
    for role, grade in (("crs", grades.crs), ("icans", grades.icans)):
        if grade and not on_claim & {row.code for row in review.context.codes(role, review.draft.coding_day)}:
            yield review.found("toxicity_not_coded", _other(review), role.upper())


def toxicity_sequence(review: ClaimReview) -> Iterator[Edit]:
    """CRS or ICANS before, or without, the complication that the tabular list requires first."""
    on = review.draft.coding_day
    cause = review.context.code("therapy_complication", on).code
    toxic = {row.code for role in ("crs", "icans") for row in review.context.codes(role, on)}
    codes = [d.code for d in review.claim.diagnoses if d.role != "admitting"]
    if early := [code for code in codes[: codes.index(cause) if cause in codes else None] if code in toxic]:
        yield review.found("toxicity_sequence", _other(review), f"{', '.join(early)} before {cause}")


def group(review: ClaimReview) -> Iterator[Edit]:
    """An infusion stay outside the CAR-T group, or one that no grouper version covers (denial 10)."""
    stay = review.services.stay
    if stay is None or not review.claim.ready or not review.services.given:
        return
    out = review.context.discharged_on(stay)
    if review.claim.drg is None or out is None or grouper.version(out) is None:
        yield review.found("drg_not_grouped", "FL 71", f"discharge of {out.isoformat() if out else 'unknown date'}")
        return
    expected = review.context.code("car_t_drg", out)
    if review.claim.drg != expected.code:
        yield review.found("wrong_drg", "FL 71", f"groups to {review.claim.drg}, expected {expected.code}")


def procedure(review: ClaimReview) -> Iterator[Edit]:
    """The coder's cell procedure against product, access and discharge date."""
    coding = coding_of(review.draft)
    if coding is None or not review.services.inpatient or not review.services.given or not review.claim.procedures:
        return
    expected = review.claim.procedures[0]
    coded = [p.code for p in coding.data.procedures]
    wrong = [code for code in coded if _administers_cells(review, code) and code != expected.code]
    if wrong:
        yield review.found("procedure_mismatch", expected.field, f"{', '.join(wrong)} coded, {expected.code} expected")
    elif expected.code not in coded:
        yield review.found("procedure_added", expected.field, expected.code)


def _administers_cells(review: ClaimReview, code: str) -> bool:
    """True for a cell code of any date, product or access, or another code of the same root that is past its end."""
    every = {row.code for row in review.context.rules.table(Code) if row.role == "cell_administration_pcs"}
    return code in every | cell_codes(review.draft)


def principal(review: ClaimReview) -> Iterator[Edit]:
    """A diagnosis that cannot be principal in a stay (G341)."""
    if not review.services.inpatient:
        return
    for diagnosis in review.claim.diagnoses:
        if diagnosis.role == "principal" and not grouper.principal_is_acceptable(
            diagnosis.code, review.draft.coding_day
        ):
            yield review.found("unacceptable_principal", diagnosis.field, diagnosis.code)
    if review.claim.ready and not any(d.role == "principal" for d in review.claim.diagnoses):
        yield review.found("unacceptable_principal", "FL 67", "no principal diagnosis on the claim")


def validity(review: ClaimReview) -> Iterator[Edit]:
    """Codes that are not valid on the day of service or discharge."""
    on = review.draft.coding_day
    for diagnosis in review.claim.diagnoses:
        if not grouper.diagnosis_is_valid(diagnosis.code, on):
            yield review.found("code_not_valid", diagnosis.field, f"{diagnosis.code} on {on.isoformat()}")
    beside = next((d.code for d in review.claim.diagnoses if grouper.diagnosis_is_valid(d.code, on)), None)
    for done in review.claim.procedures if beside else ():
        if not grouper.procedure_is_valid(done.code, on, beside or ""):
            yield review.found("code_not_valid", done.field, f"{done.code} on {on.isoformat()}")


def code_editor(review: ClaimReview) -> Iterator[Edit]:
    """The other findings of the Medicare Code Editor in a coded stay."""
    coded = coded_stay(review, review.draft.coding_day)
    if coded and (rest := [name for name in grouper.findings(coded) if name not in _NAMED_ELSEWHERE]):
        yield review.found("code_editor", "FL 67", ", ".join(name.replace("_", " ").lower() for name in rest))


def coded_stay(review: ClaimReview, on: date) -> grouper.CodedStay | None:
    """The stay as input of grouper and code editor; None before discharge and coding."""
    stay, chosen = review.services.stay, [d for d in review.claim.diagnoses if d.role == "principal"]
    if stay is None or not chosen or stay.ended_at is None:
        return None
    patient = review.context.referral.data.patient
    return grouper.CodedStay(
        discharged=on,
        age=grouper.years(patient.birth_date, review.context.admitted_on(stay)),
        sex=patient.sex.value,
        discharge_status=stay.discharge_status or "",
        principal=(chosen[0].code, chosen[0].poa),
        others=tuple((d.code, d.poa) for d in review.claim.diagnoses if d.role == "other"),
        procedures=tuple(p.code for p in review.claim.procedures),
    )


def admitting(review: ClaimReview) -> Iterator[Edit]:
    """An abstract of a stay without an admitting diagnosis, which the 837 requires."""
    coding = coding_of(review.draft)
    if review.services.inpatient and coding is not None and coding.data.admitting_diagnosis is None:
        yield review.found(
            "admitting_assumed", review.draft.location("admitting_diagnosis", review.draft.coding_day).field
        )


def room(review: ClaimReview) -> Iterator[Edit]:
    """More diagnoses than the form holds."""
    coded = sum(d.role != "admitting" for d in review.claim.diagnoses)
    most = MOST_DIAGNOSES[review.claim.form]
    if coded > most:
        yield review.found("diagnoses_cut", _other(review), f"{coded} coded, at most {most} fit")


def present_on_admission(review: ClaimReview) -> Iterator[Edit]:
    """An inpatient diagnosis without POA indicator, except in chapters that are exempt as a whole."""
    coding = coding_of(review.draft)
    if coding is None or not review.services.inpatient:
        return
    principal = (coding.data.principal_diagnosis, coding.data.principal_poa)
    coded = [principal, *((d.code, d.poa) for d in coding.data.other_diagnoses)]
    if bare := [code for code, poa in coded if poa is None and not code.startswith(_EXEMPT_CHAPTERS)]:
        yield review.found("poa_missing", _other(review), ", ".join(bare))


def indication(review: ClaimReview) -> Iterator[Edit]:
    """Age, diagnosis and remission against the product's indication (G33, G82, corrections B18)."""
    context, first = review.context, review.services.first
    row = context.rules.one(Indication, first, product=context.product, key=context.indication)
    age = grouper.years(context.referral.data.patient.birth_date, first)
    if (row.age_min is not None and age < row.age_min) or (row.age_max is not None and age > row.age_max):
        yield review.found("age_product", "birth date", row.title)
    codes = {d.code for d in review.claim.diagnoses if d.role != "admitting"}
    if review.claim.letter != "D" and codes and not any(code.startswith(row.diagnosis_prefixes) for code in codes):
        yield review.found("diagnosis_product", "FL 67", row.title)
    if codes & set(row.remission_codes):
        yield review.found("remission_diagnosis", "FL 67", ", ".join(sorted(codes & set(row.remission_codes))))


def _other(review: ClaimReview) -> str:
    return review.draft.location("other_diagnosis", review.draft.coding_day).field


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
