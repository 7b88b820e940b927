"""Care that was given: lymphodepletion, stays, infusion, toxicity, medication."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from domain.events.base import (
    Access,
    Cells,
    EventData,
    FacilityKey,
    Key,
    Milligrams,
    Ndc,
    Npi,
    Prose,
    Reference,
    ServiceCode,
    Setting,
    Strict,
    Zoned,
)
from domain.events.cells import Lot


class LymphodepletionAdministered(EventData):
    """One drug on one day, as in the medication administration record (corrections A1: never computed)."""

    event_type: ClassVar[str] = "cart.lymphodepletion.administered"
    occurred_field: ClassVar[str] = "started_at"

    drug: Key
    date: date
    dose_mg: Annotated[Milligrams, Field(gt=0)]
    wasted_mg: Milligrams
    ndc: Ndc
    started_at: Zoned
    ended_at: Zoned
    route: Literal["iv_infusion", "iv_push"]
    setting: Setting
    facility: FacilityKey
    acquired_340b: bool

    @model_validator(mode="after")
    def _times_agree(self) -> LymphodepletionAdministered:
        if self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at")
        if abs((self.started_at.date() - self.date).days) > 1:
            raise ValueError("date is not the day of started_at in any time zone")
        return self


class AdmissionClass(StrEnum):
    INPATIENT = "inpatient"
    OBSERVATION = "observation"
    OUTPATIENT = "outpatient"


class StayCoverage(Strict):
    """The payers of a stay, as registered: keys of the rulebook, without the member's number."""

    payer: Key
    plan: Prose | None = None


class AdmissionStarted(EventData):
    """A stay begins. `type` and `source` are the NUBC codes of FL 14 and FL 15."""

    event_type: ClassVar[str] = "cart.admission.started"
    occurred_field: ClassVar[str] = "at"

    admission_id: Reference
    facility: FacilityKey
    at: Zoned
    admission_class: Annotated[AdmissionClass, Field(alias="class")] = AdmissionClass.INPATIENT
    type: Annotated[str, Field(pattern=r"^[1-9]$")] = "3"
    source: Annotated[str, Field(pattern=r"^[1-9A-Z]$")] = "1"
    attending_npi: Npi | None = None
    reason: Prose | None = None
    coverage: StayCoverage | None = None


class AdmissionChanged(EventData):
    """The stay changed: class (an outpatient became an inpatient), facility or moment."""

    event_type: ClassVar[str] = "cart.admission.changed"

    admission_id: Reference
    facility: FacilityKey | None = None
    at: Zoned
    admission_class: Annotated[AdmissionClass | None, Field(alias="class")] = None
    attending_npi: Npi | None = None
    coverage: StayCoverage | None = None


class AdmissionEnded(EventData):
    """Discharge. `discharge_status` is the NUBC code of FL 17."""

    event_type: ClassVar[str] = "cart.admission.ended"
    occurred_field: ClassVar[str] = "at"

    admission_id: Reference
    at: Zoned
    discharge_status: Annotated[str, Field(pattern=r"^\d{2}$")]


class AdmissionCancelled(EventData):
    event_type: ClassVar[str] = "cart.admission.cancelled"

    admission_id: Reference
    what: Literal["admission", "discharge"] = "admission"
    reason: Prose | None = None


class BagLabel(Strict):
    """The chain-of-identity label as scanned at the bedside: it decides the Q-code (G81)."""

    coi_id: Reference
    hcpcs: ServiceCode
    ndc: Ndc
    lot: Lot


class _Infusion(EventData):
    occurred_field: ClassVar[str] = "at"

    bag_id: Reference
    facility: FacilityKey
    setting: Setting
    at: Zoned
    access: Access
    label: BagLabel
    cells_infused: Cells | None = None
    verified_by: Annotated[tuple[Reference, ...], Field(max_length=2)] = ()
    admission_id: Reference | None = None


class InfusionStarted(_Infusion):
    event_type: ClassVar[str] = "cart.infusion.started"


class InfusionStopped(_Infusion):
    """The infusion ended before the bag was empty."""

    event_type: ClassVar[str] = "cart.infusion.stopped"

    reason: Prose


class InfusionCompleted(_Infusion):
    event_type: ClassVar[str] = "cart.infusion.completed"


class Findings(Strict):
    """Findings, for comparison with the documented grade only (corrections A2, F).

    `fever_masked`: antipyretic or anticytokine therapy took the fever away; `fever_explained`: it has another cause.
    `oxygen` is the device; for a nasal cannula, `oxygen_l_min` is its flow. `vasopressors` does not count
    vasopressin. `arousal` unarousable: not even to vigorous stimuli.
    """

    temperature_c: Annotated[float, Field(ge=30, le=45)] | None = None
    fever_masked: bool | None = None
    fever_explained: bool | None = None
    hypotension: bool | None = None
    vasopressors: Annotated[int, Field(ge=0, le=9)] | None = None
    vasopressin: bool | None = None
    oxygen: (
        Literal[
            "room_air",
            "nasal_cannula",
            "low_flow_nasal",
            "blow_by",
            "high_flow_nasal",
            "face_mask",
            "non_rebreather",
            "venturi",
            "cpap",
            "bipap",
            "ventilator",
        ]
        | None
    ) = None
    oxygen_l_min: Annotated[float, Field(ge=0, le=100)] | None = None
    ice_score: Annotated[int, Field(ge=0, le=10)] | None = None
    arousal: Literal["spontaneous", "voice", "touch", "unarousable"] | None = None
    seizure: Literal["none", "resolved_rapidly", "resolved_with_intervention", "prolonged"] | None = None
    deep_focal_weakness: bool | None = None
    oedema: Literal["none", "focal", "diffuse"] | None = None
    posturing: bool | None = None
    cranial_nerve_vi_palsy: bool | None = None
    cushings_triad: bool | None = None
    death: bool | None = None


class ToxicityAssessed(EventData):
    """A provider's documented grade. Null is 'not assessed', 0 is 'assessed, none'."""

    event_type: ClassVar[str] = "cart.toxicity.assessed"
    occurred_field: ClassVar[str] = "at"

    at: Zoned
    crs_grade: Annotated[int, Field(ge=0, le=5)] | None = None
    icans_grade: Annotated[int, Field(ge=0, le=5)] | None = None
    scale: Literal["astct_2019", "lee_2014", "ctcae_5"]
    findings: Findings | None = None
    assessor_role: Prose


class MedicationAdministered(EventData):
    """A drug given for a toxicity, as charted."""

    event_type: ClassVar[str] = "cart.medication.administered"
    occurred_field: ClassVar[str] = "at"

    drug: Key
    ndc: Ndc
    dose_mg: Annotated[Milligrams, Field(gt=0)]
    wasted_mg: Milligrams
    at: Zoned
    ended_at: Zoned | None = None
    indication: Literal["crs", "icans", "other"]
    setting: Setting
    facility: FacilityKey | None = None
    acquired_340b: bool = False


class FacilityReadiness(EventData):
    """The stock on hand of an infusion center (G186). The envelope's subject is the facility key."""

    event_type: ClassVar[str] = "cart.readiness.changed"

    facility: FacilityKey
    tocilizumab_doses: Annotated[int, Field(ge=0, le=10000)]
    icu_backup: bool

    def occurred(self, time: datetime) -> datetime:
        return time
