"""Rows about the treatment: products, indications, certificates, documents, windows, alerts, transfers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from domain.rulebook.row import ANY, Row


class Product(Row):
    """A CAR-T product. `enabled` products may be referred; the others are known for disambiguation (G71-82)."""

    table = "products"
    match_on = ("key",)

    key: str
    brand: str
    generic: str
    hcpcs: str
    descriptor: str
    manufacturer: str
    target: str
    enabled: bool = False
    claim_units: int = 1
    ndc_prefixes: tuple[str, ...] = ()
    vein_to_vein_days: tuple[int, int] | None = None
    hub: str = ""


class Indication(Row):
    """A labeled indication: who, which diagnoses, which cell dose (G120-125)."""

    table = "indications"
    match_on = ("product", "key")

    product: str
    key: str
    title: str
    diagnosis_prefixes: tuple[str, ...]
    remission_codes: tuple[str, ...] = ()
    age_min: int | None = None
    age_max: int | None = None
    cells_per_kg: int | None = None
    cells_cap: int | None = None
    regimen: str | None = None


class RegimenDose(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    drug: str
    mg_per_m2: Decimal
    days: tuple[int, ...]


class Regimen(Row):
    """A lymphodepletion regimen of the label; for comparison and reminders, never an order (corrections A1)."""

    table = "regimens"
    match_on = ("key",)

    key: str
    title: str
    doses: tuple[RegimenDose, ...]
    dose_tolerance_percent: int = 10


class BodyMeasure(Row):
    """The plausible range of a measure on an adult's referral, both ends included (corrections A2)."""

    table = "body_measures"
    match_on = ("measure",)

    measure: Literal["bmi", "implied_height_cm", "surface_percent"]
    title: str
    minimum: Decimal
    maximum: Decimal
    age_min: int


class Certification(Row):
    """A certification layer: who must hold it, for which stages, and whether a missing one holds or warns, by payer."""

    table = "certifications"
    match_on = ("layer", "holder", "product", "indication", "payer", "payer_class")

    layer: str
    title: str
    holder: Literal["apheresis_facility", "infusion_facility", "prescriber", "pharmacy", "manufacturer"]
    per_product: bool
    product: str = ANY
    indication: str = ANY
    payer: str = ANY
    payer_class: str = ANY
    enforcement: Literal["hold", "warn", "off"]
    stages: tuple[str, ...]
    owner: str
    fix: str
    denial: int | None = None
    overridable: bool = False
    minimum: int | None = None


class Eligibility(Row):
    """One clinical document that the payer requires by its reading of the label (G277, G374-381).

    `setting` is the planned setting of the infusion the requirement is for; `*` means any.
    """

    table = "eligibility"
    match_on = ("requirement", "product", "indication", "payer", "payer_class", "setting")

    requirement: str
    title: str
    product: str = ANY
    indication: str = ANY
    payer: str = ANY
    payer_class: str = ANY
    setting: str = ANY
    enforcement: Literal["hold", "warn", "off"]
    stages: tuple[str, ...] = ("apheresis",)
    agents: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_age_days: int | None = None
    owner: str
    fix: str
    denial: int | None = None
    overridable: bool = True


class Window(Row):
    """A span of time: days or hours, with what it is measured from in its title.

    `count` and `milligrams` limit what may fall into the span.
    """

    table = "windows"
    match_on = ("key", "product", "indication", "hospital_class")

    key: str
    product: str = ANY
    indication: str = ANY
    hospital_class: str = ANY
    days: int | None = None
    hours: int | None = None
    count: int | None = None
    milligrams: int | None = None
    title: str

    @property
    def span(self) -> timedelta:
        """Its length, days and hours together."""
        return timedelta(days=self.days or 0, hours=self.hours or 0)


class AlertKind(Row):
    """What an alert means, who owns it, by when it is acknowledged and what to do.

    `requirement` titles the gate row made from the kind: the thing required, true when met; empty where no gate row is.
    """

    table = "alerts"
    match_on = ("kind",)

    kind: str
    severity: Literal["critical", "warning", "info"]
    owner: str
    acknowledge_hours: int
    title: str
    requirement: str = ""
    action: str
    denial: int | None = None


class CustodyRule(Row):
    """The limits and requirements of one transfer in the chain of identity (corrections G)."""

    table = "custody"
    match_on = ("step", "product")

    step: str
    product: str = ANY
    order: int
    title: str
    temperature_max_c: Decimal | None = None
    hours_max: Decimal | None = None
    verifiers: int = 1
    requires: tuple[str, ...] = ()
