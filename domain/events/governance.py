"""Certificates, plans, overrides, withdrawal, corrections."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from domain.events.access import Facilities
from domain.events.base import EventData, Key, Prose, Reference, Setting, Strict, Zoned


class Layer(StrEnum):
    """The certification layers of G184-195 and corrections D."""

    FACT = "fact"
    AUTHORIZED_CENTER = "authorized_center"
    REMS_FACILITY = "rems_facility"
    REMS_PRESCRIBER = "rems_prescriber"
    REMS_PHARMACY = "rems_pharmacy"
    B_ALL_EXPERIENCE = "b_all_experience"
    MANUFACTURING_CHAIN = "manufacturing_chain"


class CertificationStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class CertificationChanged(EventData):
    """A certificate began, ended or changed. The subject is the holder: a facility key, an NPI, a manufacturer.

    `product` is absent only on layers that are not per product (FACT). Both ends of the validity are inclusive.
    """

    event_type: ClassVar[str] = "cart.certification.changed"

    layer: Layer
    product: Key | None = None
    holder: Reference
    status: CertificationStatus
    valid_from: date
    valid_to: date | None = None
    document: Reference | None = None

    @model_validator(mode="after")
    def _ordered(self) -> CertificationChanged:
        if self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self


class PlanChanged(EventData):
    """The plan, not the past: another infusion center, product or setting."""

    event_type: ClassVar[str] = "cart.plan.changed"

    facilities: Facilities | None = None
    product: Key | None = None
    indication: Key | None = None
    planned_setting: Setting | None = None
    reason: Prose

    @model_validator(mode="after")
    def _changes_something(self) -> PlanChanged:
        if not (self.facilities or self.product or self.indication or self.planned_setting):
            raise ValueError("name what changes: facilities, product, indication or planned_setting")
        return self


class HoldOverridden(EventData):
    """A signed exception to a hold; it expires when the facts it was given for change."""

    event_type: ClassVar[str] = "cart.hold.overridden"

    hold: Reference
    reason: Prose
    role: Prose
    signer: Reference
    expires: Zoned


class EncounterWithdrawn(EventData):
    event_type: ClassVar[str] = "cart.encounter.withdrawn"
    occurred_field: ClassVar[str] = "at"

    reason: Literal["death", "progression", "choice", "product_unusable"]
    at: Zoned | None = None


class EventReference(Strict):
    source: Reference
    id: Reference


class CorrectionMade(EventData):
    """Replaces the data of an earlier event, or retracts the event. The original stays on record."""

    event_type: ClassVar[str] = "cart.correction.made"

    of: EventReference
    reason: Prose
    signer: Reference
    replacement: Annotated[dict[str, JsonValue] | None, Field(description="the whole corrected data of the event")] = (
        None
    )
    retract: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> CorrectionMade:
        if (self.replacement is None) == (not self.retract):
            raise ValueError("give replacement data, or retract, not both")
        return self
