"""The row types of the rulebook. One row is one fact with its dates, source, status and refresh cadence."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ANY = "*"
"""In a key column: the row holds for every value of it. A row that names the value wins over one with `*`."""

Edition = Literal["current", "guide"]
Status = Literal["guide", "verified", "contradicted", "unconfirmed"]
Cadence = Literal["quarterly", "semi-annual", "annual", "event-driven", "fixed"]


class Row(BaseModel):
    """Common columns.

    Attributes:
        id: unique in the rulebook, `<table>.<name>`; what a line, hold or alert cites.
        edition: both, or the one edition the row belongs to.
        effective_from: first day of service (or discharge) it holds for; inclusive.
        effective_to: last such day; None while it holds on.
        source: G lines (`G124`), corrections (`corrections B7`) or official pages.
        status: guide (as printed), verified, contradicted (the guide's value, kept for comparison), unconfirmed.
        reviewed: the day somebody last checked it; with `refresh` it tells when the row is stale.
        doubt: what is not certain about an unconfirmed row, in words for the biller.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: ClassVar[str]
    match_on: ClassVar[tuple[str, ...]]

    id: str
    edition: Literal["both", "current", "guide"] = "both"
    effective_from: date
    effective_to: date | None = None
    source: tuple[str, ...] = Field(min_length=1)
    status: Status
    refresh: Cadence
    reviewed: date = date(2026, 5, 22)
    note: str = ""
    doubt: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Row:
        if self.effective_to and self.effective_to < self.effective_from:
            raise ValueError("effective_to lies before effective_from")
        return self

    def holds_on(self, day: date) -> bool:
        """True on every day of the row's validity, ends included."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)

    @property
    def citation(self) -> str:
        return ", ".join(self.source)


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
    """A labelled indication: who, which diagnoses, which cell dose (G120-125)."""

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


class DrugCode(Row):
    """How a charted drug is billed: HCPCS code, milligrams per unit, NDC it is for (empty: any)."""

    table = "drugs"
    match_on = ("drug",)

    drug: str
    title: str
    hcpcs: str
    mg_per_unit: Decimal
    ndc_prefixes: tuple[str, ...] = ()
    administration: Literal["chemotherapy", "therapeutic"] = "chemotherapy"
    revenue_code_role: str = "drug_detailed"
    packed_in_drg: bool = True


class Code(Row):
    """A code of an official set in the role the claims give it.

    `product`, `access`, `setting`, `payer` narrow it down; `*` means any.
    """

    table = "codes"
    match_on = ("role", "product", "access", "setting", "payer", "grade")

    role: str
    system: Literal[
        "CPT", "HCPCS", "ICD-10-CM", "ICD-10-PCS", "REV", "VALUE", "CONDITION", "OCCURRENCE", "MODIFIER", "POS", "TOB", "DRG"
    ]
    code: str
    title: str
    product: str = ANY
    access: str = ANY
    setting: str = ANY
    payer: str = ANY
    grade: str = ANY


class Place(Row):
    """Stage and setting to claim form, type of bill, place of service and payment mechanism (G283-290)."""

    table = "places"
    match_on = ("stage", "setting")

    stage: str
    setting: str
    form: Literal["UB-04", "CMS-1500"]
    type_of_bill: str | None = None
    place_of_service: str | None = None
    mechanism: str


class FormLocation(Row):
    """Where a value stands on a form (G306-344, corrections C9)."""

    table = "form_fields"
    match_on = ("form", "value")

    form: str
    value: str
    field: str
    name: str


class Certification(Row):
    """A certification layer: who must hold it, for which stages, and what its absence does per payer."""

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
    """One clinical paper the payer's reading of the label asks for (G277, G374-381).

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


class Payer(Row):
    """A payer: class, authorization, form of its identifiers, and what it asks of the site of care (G349-363).

    `claim_filing` is the indicator of an institutional claim, `claim_filing_professional` of a professional one where it differs.
    """

    table = "payers"
    match_on = ("key",)

    key: str
    title: str
    payer_class: Literal["medicare_ffs", "medicare_advantage", "commercial", "medicaid", "self_pay"]
    authorization_required: bool
    authorization_days: int | None = None
    policy: str = ""
    claim_filing: str
    claim_filing_professional: str | None = None
    timely_filing_days: int
    appeal_days: int
    requires_rems: bool


class SiteOfCare(Row):
    """Where a payer lets an indication be infused: allowed, with_document (a risk paper), or held."""

    table = "site_of_care"
    match_on = ("product", "indication", "payer", "setting")

    product: str = ANY
    indication: str = ANY
    payer: str = ANY
    setting: str
    policy: Literal["allowed", "with_document", "held"]
    documents: tuple[str, ...] = ()
    owner: str = "coordinator"
    fix: str = ""
    denial: int | None = None


class Checklist(Row):
    """One of the eleven papers of the authorization checklist (G371-381)."""

    table = "checklist"
    match_on = ("number",)

    number: int
    title: str
    evidence: tuple[str, ...]
    indication: str = ANY


class Policy(Row):
    """A billing choice that the guide leaves to payer and date; `value` is one of the choices its builder knows.

    `mac` is the Medicare contractor's jurisdiction (JH, J6) where the guide says "your MAC"; `*` means any.
    """

    table = "policies"
    match_on = ("key", "payer", "payer_class", "mac")

    key: str
    payer: str = ANY
    payer_class: str = ANY
    mac: str = ANY
    value: str
    title: str


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


class AlertKind(Row):
    """What an alert means, who owns it, by when it is acknowledged and what to do."""

    table = "alerts"
    match_on = ("kind",)

    kind: str
    severity: Literal["critical", "warning", "info"]
    owner: str
    acknowledge_hours: int
    title: str
    action: str
    denial: int | None = None


class EditRule(Row):
    """A claim edit: what it finds, how to cure it, which denial it prevents."""

    table = "edits"
    match_on = ("edit",)

    edit: str
    severity: Literal["error", "warning"]
    title: str
    fix: str
    owner: str = "biller"
    denial: int | None = None
    releases_on: tuple[str, ...] = ()


class Denial(Row):
    """One of the twelve common denials with cause and fix (G429-443)."""

    table = "denials"
    match_on = ("number",)

    number: int
    title: str
    cause: str
    fix: str
    carc: tuple[str, ...] = ()
    rarc: tuple[str, ...] = ()


class Payment(Row):
    """An amount, weight or rate that a payment is made of, in United States dollars.

    For `asp`, `amount` is the payment limit (average sales price and the add-on); without an amount `basis` says what is
    paid instead (G400).
    """

    table = "payments"
    match_on = ("kind", "code")

    kind: Literal["asp", "drg", "apc", "ntap", "list_price"]
    code: str
    title: str
    amount: Decimal | None = None
    weight: Decimal | None = None
    geometric_mean_days: Decimal | None = None
    average_sales_price: Decimal | None = None
    quarter: str = ""
    basis: str = ""


class Assistance(Row):
    """A patient assistance programme (G420-425)."""

    table = "assistance"
    match_on = ("key",)

    key: str
    title: str
    payer_classes: tuple[str, ...]
    condition: str
    check: str
    indication: str = ANY
    income_percent_fpl: int | None = None
    distance_miles: int | None = None


class Guideline(Row):
    """A guideline category (G365-367)."""

    table = "guidelines"
    match_on = ("product", "indication")

    product: str
    indication: str
    title: str
    category: str


class Refresh(Row):
    """How often a kind of row is reviewed and what triggers it (G547-556)."""

    table = "refreshes"
    match_on = ("element",)

    element: str
    cadence: str
    trigger: str
    tables: tuple[str, ...]


class Correction(Row):
    """Where the guide and the official record part, and what is done about it.

    Attributes:
        number: as the corrections count them (`B5`).
        evidence: official (tables CMS publishes), page (a public page that was read), knowledge (not confirmed), guide (its own
            text), decision (of this project).
        decision: what stands for it where no row can hold it.
    """

    table = "corrections"
    match_on = ("number",)

    number: str
    subject: str
    guide_says: str
    current_says: str
    evidence: tuple[Literal["official", "page", "knowledge", "guide", "decision"], ...] = Field(min_length=1)
    decision: str = ""


class CustodyRule(Row):
    """A limit or demand on one hand-over of the chain of identity (corrections G)."""

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


TABLES: tuple[type[Row], ...] = (
    Product,
    Indication,
    Regimen,
    DrugCode,
    Code,
    Place,
    FormLocation,
    Certification,
    Eligibility,
    Payer,
    SiteOfCare,
    Checklist,
    Policy,
    Window,
    AlertKind,
    EditRule,
    Denial,
    Payment,
    Assistance,
    Guideline,
    Refresh,
    Correction,
    CustodyRule,
)
