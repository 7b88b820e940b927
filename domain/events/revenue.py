"""From care to money: coding, charges, acknowledgements, remittance."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from domain.events.base import DiagnosisCode, EventData, Money, ProcedureCode, Reference, ServiceCode, Strict

ClaimLetter = Literal["A", "B", "C", "D"]
Poa = Literal["Y", "N", "U", "W"]
STATUS_CODE_LENGTH = 60


class CodedDiagnosis(Strict):
    """A secondary diagnosis with its present-on-admission indicator; null where the code is exempt."""

    code: DiagnosisCode
    poa: Poa | None = None


class CodedProcedure(Strict):
    code: ProcedureCode
    date: date


class CodingCompleted(EventData):
    """The coder's abstract of a stay, named by admission, or of a claim, named by letter and ordinal."""

    event_type: ClassVar[str] = "cart.coding.completed"

    claim: ClaimLetter | None = None
    ordinal: Annotated[int, Field(ge=1, le=99)] = 1
    admission_id: Reference | None = None
    admitting_diagnosis: DiagnosisCode | None = None
    principal_diagnosis: DiagnosisCode
    principal_poa: Poa | None = None
    other_diagnoses: tuple[CodedDiagnosis, ...] = ()
    procedures: tuple[CodedProcedure, ...] = ()

    @model_validator(mode="after")
    def _names_its_claim(self) -> CodingCompleted:
        if self.claim is None and self.admission_id is None:
            raise ValueError("name the claim (letter and ordinal) or the admission_id")
        return self


class ChargePosted(EventData):
    """One line of the patient account. The same charge_id again in a correction replaces it."""

    event_type: ClassVar[str] = "cart.charge.posted"

    charge_id: Reference
    admission_id: Reference | None = None
    visit: Reference | None = None
    revenue_code: Annotated[str, Field(pattern=r"^\d{4}$")]
    hcpcs: ServiceCode | None = None
    units: Annotated[int, Field(ge=1, le=99999)]
    amount: Annotated[Money, Field(ge=0)]
    date: date


class ClaimAcknowledged(EventData):
    """A 999, 277CA or accepting TA1 as a fact: the claim's control number and the status codes it carries.

    Codes of a 277CA are category, status and entity (`A7:562:85`). Of a 999: `IK3:segment:position:loop:error`,
    `IK4:element-component:error`, `CTX:segment:position:loop`, and `IK5:E` where it accepts with errors.
    """

    event_type: ClassVar[str] = "cart.claim.acknowledged"

    control_number: Reference
    kind: Literal["999", "277CA", "TA1"]
    accepted: bool
    status_codes: tuple[Annotated[str, Field(max_length=STATUS_CODE_LENGTH)], ...] = ()
    payer_claim_number: Reference | None = None


class Adjustment(Strict):
    """A claim adjustment of the remittance: group, reason (CARC), amount."""

    group: Literal["CO", "OA", "PI", "PR"]
    carc: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,5}$")]
    amount: Money


class RemittedLine(Strict):
    """One service line of an 835 (SVC): what was charged and paid, and why they differ."""

    revenue_code: Annotated[str, Field(pattern=r"^\d{4}$")] | None = None
    hcpcs: ServiceCode | None = None
    charge: Money
    paid: Money
    adjustments: tuple[Adjustment, ...] = ()


class ClaimRemitted(EventData):
    """An 835 as a fact. `adjustments` are those of the claim and of all its lines; `lines` assign them to service lines.

    `trace_number` is the check or transfer it came with (TRN02): the parts of one claim in one transfer are one adjudication.
    `status` is CLP02; `crossover` the secondary payer the claim was passed on to (NM1*TT), where the payer names it.
    """

    event_type: ClassVar[str] = "cart.claim.remitted"

    control_number: Reference
    status: Annotated[str, Field(pattern=r"^\d{1,2}$")]
    paid: Money
    patient_responsibility: Money | None = None
    adjustments: tuple[Adjustment, ...] = ()
    rarc: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{1,5}$")], ...] = ()
    payer_claim_number: Reference | None = None
    drg: Annotated[str, Field(pattern=r"^\d{3}$")] | None = None
    trace_number: Reference | None = None
    lines: tuple[RemittedLine, ...] = ()
    crossover: Annotated[str, Field(min_length=1, max_length=60)] | None = None


class ClaimRecouped(EventData):
    """Money that a payer withheld from a transfer for a claim (835 PLB), outside the adjudication of any.

    `control_number` is ours, or the payer's own number of the claim: payers name either. `amount` over zero was withheld, below
    zero given back, in United States dollars. `reason` is PLB03-1, for example WO.
    """

    event_type: ClassVar[str] = "cart.claim.recouped"

    control_number: Reference
    reason: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")]
    amount: Money
    trace_number: Reference | None = None
