"""The cells: collection, custody, manufacturing, release, disposition."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from domain.events.base import (
    KEPT,
    Access,
    Cells,
    EventData,
    FacilityKey,
    Ndc,
    Prose,
    Reference,
    Setting,
    Strict,
    Zoned,
)
from domain.events.din import checked

MANUFACTURER_ID = "the manufacturer's own number of patient or order"
ISBT_128 = "the ISBT 128 number on the container's label"

Lot = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$")]


def _din(text: str, info: ValidationInfo) -> str:
    return checked(text, kept=bool(info.context and info.context.get(KEPT)))


Din = Annotated[Reference, AfterValidator(_din)]
"""A donation identification number; one of ISBT 128 that comes with its check character is checked and kept without it."""


class ApheresisCompleted(EventData):
    """One leukapheresis. A short collection repeated next day has its own ordinal under the same COI (corrections G)."""

    event_type: ClassVar[str] = "cart.apheresis.completed"
    occurred_field: ClassVar[str] = "started_at"

    facility: FacilityKey
    setting: Setting
    coi_id: Reference
    din: Din
    maker_id: Annotated[Reference | None, Field(description=MANUFACTURER_ID)] = None
    isbt_128: Annotated[Reference | None, Field(description=ISBT_128)] = None
    collection_ordinal: Annotated[int, Field(ge=1, le=20)]
    started_at: Zoned
    ended_at: Zoned
    access: Access

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> ApheresisCompleted:
        if self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at")
        return self


class CustodyStep(StrEnum):
    """The transfers of corrections G, in their order."""

    COI_ISSUED = "coi_issued"
    BEDSIDE_IDENTITY = "bedside_identity"
    PACKED = "packed"
    COURIER_PICKUP = "courier_pickup"
    MANUFACTURER_RECEIPT = "manufacturer_receipt"
    MANUFACTURING_START = "manufacturing_start"
    MANUFACTURING_FAILED = "manufacturing_failed"
    OUT_OF_SPECIFICATION = "out_of_specification"
    RELEASED = "released"
    SHIPPED = "shipped"
    SITE_RECEIPT = "site_receipt"
    STORED = "stored"
    AVAILABLE = "available"
    PATIENT_MATCH = "patient_match"
    THAW = "thaw"
    BEDSIDE_CHECK = "bedside_check"
    INFUSED = "infused"
    DISPOSITION = "disposition"


class Temperature(Strict):
    """The logger's range over the leg, in degrees Celsius."""

    min: Annotated[Decimal, Field(ge=-273, le=100)]
    max: Annotated[Decimal, Field(ge=-273, le=100)]

    @model_validator(mode="after")
    def _ordered(self) -> Temperature:
        if self.max < self.min:
            raise ValueError("max is below min")
        return self


class CustodyRecorded(EventData):
    """One transfer: who, when, where, which identifiers were scanned, in which condition."""

    event_type: ClassVar[str] = "cart.custody.recorded"
    occurred_field: ClassVar[str] = "at"

    step: CustodyStep
    coi_id: Reference
    bag_id: Reference | None = None
    at: Zoned
    by: Reference
    second_verifier: Reference | None = None
    location: Prose
    facility: Annotated[FacilityKey | None, Field(description="the center of the site file that holds the cells")] = (
        None
    )
    lot: Lot | None = None
    ndc: Ndc | None = None
    din: Din | None = None
    maker_id: Annotated[Reference | None, Field(description=MANUFACTURER_ID)] = None
    isbt_128: Annotated[Reference | None, Field(description=ISBT_128)] = None
    container: Reference | None = None
    waybill: Reference | None = None
    logger: Reference | None = None
    temperature: Temperature | None = None
    seal_intact: bool | None = None
    accepted: bool | None = None


class ManufacturingFailed(EventData):
    """Manufacturing ended without a conforming product (G505)."""

    event_type: ClassVar[str] = "cart.manufacturing.failed"
    occurred_field: ClassVar[str] = "at"

    coi_id: Reference
    at: Zoned | None = None
    bag_id: Reference | None = None
    reason: Prose
    out_of_specification: bool = False


class ManufacturingDelayed(EventData):
    event_type: ClassVar[str] = "cart.manufacturing.delayed"

    coi_id: Reference | None = None
    new_release_date: date
    reason: Prose | None = None


class ProductReleased(EventData):
    """The manufacturer's release with the certificate of analysis."""

    event_type: ClassVar[str] = "cart.product.released"
    occurred_field: ClassVar[str] = "released_at"

    coi_id: Reference
    bag_id: Reference
    maker_id: Annotated[Reference | None, Field(description=MANUFACTURER_ID)] = None
    isbt_128: Annotated[Reference | None, Field(description=ISBT_128)] = None
    lot: Lot
    ndc: Ndc
    viable_car_cells: Cells
    expires_on: date
    certificate: Reference
    released_at: Zoned | None = None


class DispositionSigned(EventData):
    """A signed decision on a quarantined bag: what happens to it, who decided, until when it holds."""

    event_type: ClassVar[str] = "cart.disposition.signed"

    bag_id: Reference
    disposition: Annotated[str, Field(pattern=r"^(release|expanded_access|destroy|return)$")]
    reason: Prose
    role: Prose
    signer: Reference
    expires: Zoned | None = None
