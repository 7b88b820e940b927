"""Rows about the claim: codes, drugs, forms, payers, policies, edits, denials, payment."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from domain.rulebook.row import ANY, Row


class DrugCode(Row):
    """How a charted drug is billed: HCPCS code, milligrams per unit, NDC (empty: any)."""

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


class Package(Row):
    """What the packages of an NDC contain: unit of quantity (CTP05), milligrams per unit, one dose or several.

    JW and JZ apply to single-dose containers; a drug without a row counts as single-dose, measured in milligrams.
    """

    table = "packages"
    match_on = ("drug", "ndc_prefix")

    drug: str
    ndc_prefix: str
    title: str
    unit: Literal["ML", "UN", "GR"]
    mg_per_quantity: Decimal
    single_dose: bool = True


class Code(Row):
    """A code of an official set in the role the claims give it.

    `product`, `access`, `setting`, `payer` narrow it down; `*` means any.
    """

    table = "codes"
    match_on = ("role", "product", "access", "setting", "payer", "grade")

    role: str
    system: Literal[
        "CPT",
        "HCPCS",
        "ICD-10-CM",
        "ICD-10-PCS",
        "REV",
        "VALUE",
        "CONDITION",
        "OCCURRENCE",
        "MODIFIER",
        "POS",
        "TOB",
        "DRG",
    ]
    code: str
    title: str
    product: str = ANY
    access: str = ANY
    setting: str = ANY
    payer: str = ANY
    grade: str = ANY


class PlaceOfService(Row):
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
    """The field of a value on a form (G306-344, corrections C9)."""

    table = "form_fields"
    match_on = ("form", "value")

    form: str
    value: str
    field: str
    name: str


class Payer(Row):
    """A payer: class, authorization, form of its identifiers, and its site-of-care requirements (G349-363).

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
    """Where a payer lets an indication be infused: allowed, with_document (a risk document), or held."""

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
    """One of the eleven documents of the authorization checklist (G371-381)."""

    table = "checklist"
    match_on = ("number",)

    number: int
    title: str
    evidence: tuple[str, ...]
    indication: str = ANY


class Policy(Row):
    """A billing choice that the guide leaves to payer and date; `value` is one of the choices its builder knows.

    `mac` is the Medicare contractor's jurisdiction (JH, J6) where the guide names "your MAC"; `*` means any.
    """

    table = "policies"
    match_on = ("key", "payer", "payer_class", "mac")

    key: str
    payer: str = ANY
    payer_class: str = ANY
    mac: str = ANY
    value: str
    title: str


class EditRule(Row):
    """A claim edit: what it finds, the fix, and the denial it prevents.

    `overridable` errors become warnings after a signature for the services as charted.
    """

    table = "edits"
    match_on = ("edit",)

    edit: str
    severity: Literal["error", "warning"]
    title: str
    fix: str
    owner: str = "biller"
    denial: int | None = None
    releases_on: tuple[str, ...] = ()
    overridable: bool = False


class Denial(Row):
    """One of the twelve common denials with cause and fix (G429-443).

    `indications`: keys it is about; `lines`: what a refused service line must bill, or that the claim as a whole was refused;
    empty means any.
    """

    table = "denials"
    match_on = ("number",)

    number: int
    title: str
    cause: str
    fix: str
    carc: tuple[str, ...] = ()
    rarc: tuple[str, ...] = ()
    indications: tuple[str, ...] = ()
    lines: tuple[Literal["product", "lymphodepletion", "claim"], ...] = ()


class AdjustmentReason(Row):
    """What a claim adjustment reason (CARC) means for the bill; a reason without a row is a refusal.

    contractual: the difference between charge and price; patient: owed by the patient; reduction: taken off the payment by
    law, not by a decision on the claim; prior_payer: what earlier payers paid and adjusted, as their own remittances
    report.
    """

    table = "adjustments"
    match_on = ("carc",)

    carc: str
    meaning: Literal["contractual", "patient", "reduction", "prior_payer"]
    title: str


class ResponseCode(Row):
    """What a code of a 999 or 277CA means, in words; for a claim status category, whether the payer has the claim.

    receipt: received or forwarded, which is no acceptance; accepted: ends the filing watch; rejected: the payer has no claim.
    """

    table = "response_codes"
    match_on = ("list", "code")

    list: Literal["category", "status", "entity", "segment_error", "element_error"]
    code: str
    title: str
    meaning: Literal["receipt", "accepted", "rejected"] | None = None


class Payment(Row):
    """An amount, weight or rate that a payment is made of, in United States dollars.

    For `asp`, `amount` is the payment limit (average sales price and the add-on); without an amount, `basis` names what is
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
