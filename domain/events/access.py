"""Getting to treatment: referral, evidence, appointments, authorization."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from domain.events.base import (
    DiagnosisCode,
    EventData,
    FacilityKey,
    Key,
    Npi,
    Prose,
    Reference,
    Setting,
    Strict,
    Zoned,
)


class Sex(StrEnum):
    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class PersonName(Strict):
    family: Prose
    given: Prose


class Address(Strict):
    line: Prose
    city: Prose
    state: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    postal_code: Annotated[str, Field(pattern=r"^\d{5}(-?\d{4})?$")]


class Patient(Strict):
    """Identity. The receiver stores it in the vault and nowhere else."""

    mrn: Reference
    name: PersonName
    birth_date: date
    sex: Sex
    address: Address


class Coverage(Strict):
    """Who pays. `payer` is a key of the rulebook; the member number goes to the vault."""

    payer: Key
    plan: Prose | None = None
    member_id: Reference


class Facilities(Strict):
    apheresis: FacilityKey
    infusion: FacilityKey


class StopReason(StrEnum):
    """Why a regimen ended; G277 requires progression or intolerance after a BTK inhibitor."""

    PROGRESSION = "progression"
    INTOLERANCE = "intolerance"
    COMPLETED = "completed"
    OTHER = "other"


class PriorTherapy(Strict):
    """One regimen of the prior therapy log (G373). Dates in the patient's time, lines counted from 1."""

    regimen: Prose
    line: Annotated[int, Field(ge=1, le=20)]
    therapy_class: Annotated[Key, Field(alias="class")]
    agent: Key | None = None
    started: date | None = None
    stopped: date | None = None
    response: Prose | None = None
    stop_reason: StopReason | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> PriorTherapy:
        if self.started and self.stopped and self.stopped < self.started:
            raise ValueError("stopped is before started")
        return self


class BtkInhibitorValues(Strict):
    agent: Key
    started: date
    stopped: date
    reason: StopReason
    line: Annotated[int, Field(ge=1, le=20)] | None = None


class FlowValues(Strict):
    cd19_positive: bool
    percent: Annotated[Decimal, Field(ge=0, le=100)] | None = None


class EcogValues(Strict):
    score: Annotated[int, Field(ge=0, le=5)]


class CnsValues(Strict):
    """CNS-1 none, CNS-2 fewer than five white cells with blasts, CNS-3 active disease (G379)."""

    status: Annotated[int, Field(ge=1, le=3)]


class PercentValues(Strict):
    percent: Annotated[Decimal, Field(ge=0, le=100)]


class AdequateValues(Strict):
    adequate: bool


class ActiveValues(Strict):
    active: bool


class BurdenValues(Strict):
    level: Literal["low", "high"]


class PathologyValues(Strict):
    cd19_positive: bool
    b_precursor: bool | None = None
    relapsed_or_refractory: bool | None = None


class RiskValues(Strict):
    outpatient_acceptable: bool


class CertificateValues(Strict):
    """A letter or certificate as filed: who holds it, for which product, for which days."""

    holder: Reference
    product: Key | None = None
    valid_from: date
    valid_to: date | None = None


class EvidenceAdded(EventData):
    """A document: in the referral, or added after it. `kind` decides which dated values it carries."""

    event_type: ClassVar[str] = "cart.evidence.added"

    document: Reference
    dated: date


class BtkInhibitorEvidence(EvidenceAdded):
    kind: Literal["btk_inhibitor"]
    values: BtkInhibitorValues


class FlowEvidence(EvidenceAdded):
    kind: Literal["cd19_flow"]
    values: FlowValues


class EcogEvidence(EvidenceAdded):
    kind: Literal["ecog"]
    values: EcogValues


class CnsEvidence(EvidenceAdded):
    kind: Literal["cns_status"]
    values: CnsValues


class LvefEvidence(EvidenceAdded):
    kind: Literal["lvef"]
    values: PercentValues


class OrganEvidence(EvidenceAdded):
    kind: Literal["pulmonary_function", "organ_function"]
    values: AdequateValues


class AutoimmuneEvidence(EvidenceAdded):
    kind: Literal["autoimmune"]
    values: ActiveValues


class BurdenEvidence(EvidenceAdded):
    kind: Literal["tumour_burden"]
    values: BurdenValues


class PathologyEvidence(EvidenceAdded):
    kind: Literal["pathology"]
    values: PathologyValues


class RiskEvidence(EvidenceAdded):
    kind: Literal["risk_assessment"]
    values: RiskValues


class CertificateEvidence(EvidenceAdded):
    kind: Literal["fact_certificate", "rems_letter"]
    values: CertificateValues


class PlainEvidence(EvidenceAdded):
    """Documents of which only presence and date count."""

    kind: Literal[
        "imaging",
        "age_document",
        "prior_therapy_log",
        "long_term_drug_therapy",
        "manufacturing_failure",
        "case_manager_letter",
        "unrelated_services",
        "separate_evaluation",
        "other",
    ]


Evidence = Annotated[
    BtkInhibitorEvidence
    | FlowEvidence
    | EcogEvidence
    | CnsEvidence
    | LvefEvidence
    | OrganEvidence
    | AutoimmuneEvidence
    | BurdenEvidence
    | PathologyEvidence
    | RiskEvidence
    | CertificateEvidence
    | PlainEvidence,
    Field(discriminator="kind"),
]
"""One document of the authorization checklist (G371-381) or of the eligibility gate (G277)."""


class ReferralReceived(EventData):
    """A patient is referred for one product. The only event that carries who the patient is."""

    event_type: ClassVar[str] = "cart.referral.received"

    product: Key
    indication: Key
    diagnosis: DiagnosisCode
    patient: Patient
    coverage: Coverage
    facilities: Facilities
    prescriber_npi: Npi
    planned_setting: Setting
    weight_kg: Annotated[Decimal, Field(gt=0, le=400)]
    height_cm: Annotated[Decimal, Field(gt=0, le=250)] | None = None
    bsa_m2: Annotated[Decimal, Field(gt=0, le=4)] | None = None
    prior_therapies: tuple[PriorTherapy, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    @model_validator(mode="after")
    def _height_or_surface(self) -> ReferralReceived:
        if self.height_cm is None and self.bsa_m2 is None:
            raise ValueError("give height_cm or bsa_m2: the regimen is dosed by body surface")
        return self


class BookableStage(StrEnum):
    APHERESIS = "apheresis"
    LYMPHODEPLETION = "lymphodepletion"
    INFUSION = "infusion"
    FOLLOW_UP = "follow_up"


class AppointmentBooked(EventData):
    event_type: ClassVar[str] = "cart.appointment.booked"

    appointment_id: Reference
    stage: BookableStage
    starts_at: Zoned
    facility: FacilityKey
    setting: Setting


class AppointmentRescheduled(EventData):
    event_type: ClassVar[str] = "cart.appointment.rescheduled"

    appointment_id: Reference
    stage: BookableStage | None = None
    starts_at: Zoned
    facility: FacilityKey | None = None
    setting: Setting | None = None


class AppointmentCancelled(EventData):
    event_type: ClassVar[str] = "cart.appointment.cancelled"

    appointment_id: Reference
    reason: Prose | None = None


class AppointmentMissed(EventData):
    event_type: ClassVar[str] = "cart.appointment.missed"

    appointment_id: Reference
    reason: Prose | None = None


class AuthorizationSubmitted(EventData):
    """The request went to the payer. `replaces` names the number it follows (G505)."""

    event_type: ClassVar[str] = "cart.authorization.submitted"

    number: Reference
    submitted_on: date | None = None
    replaces: Reference | None = None


class AuthorizationDecision(StrEnum):
    APPROVED = "approved"
    PENDED = "pended"
    DENIED = "denied"


class AuthorizationDecided(EventData):
    """The payer's answer; both ends of the validity are inclusive."""

    event_type: ClassVar[str] = "cart.authorization.decided"

    number: Reference
    decision: AuthorizationDecision
    valid_from: date | None = None
    valid_to: date | None = None
    product: Key | None = None
    replaces: Reference | None = None

    @model_validator(mode="after")
    def _approval_has_dates(self) -> AuthorizationDecided:
        if self.decision is AuthorizationDecision.APPROVED and not (self.valid_from and self.valid_to):
            raise ValueError("an approval needs valid_from and valid_to")
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self
