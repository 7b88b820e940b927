"""Edits on the product: label, NDC, release, units, invoice cost (denials 9 and 12)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.claims.edits.case import Case
from domain.claims.expanded_access import accepted_under_it
from domain.claims.infusion import release_of
from domain.claims.model import Edit
from domain.claims.ndc import belongs_to, eleven
from domain.record import Infusion
from domain.rulebook.rows import Product


def label(case: Case) -> Iterator[Edit]:
    """The chain-of-identity label decides the product code; another code on it holds the claim (G81, G440)."""
    own = case.desk.product_row(case.bundle.first)
    for infusion in case.bundle.given:
        if infusion.last.data.label.hcpcs != own.hcpcs:
            yield case.found(
                "wrong_product_code", _field(case, "hcpcs"), f"the label names {infusion.last.data.label.hcpcs}"
            )


def ndc(case: Case) -> Iterator[Edit]:
    """An NDC of another product, or one the payer's master file may not know (denials 9, 12)."""
    own = case.desk.product_row(case.bundle.first)
    others = [row for row in case.desk.rules.find(Product, case.bundle.first) if row.key != own.key]
    for infusion in case.bundle.given:
        charted = infusion.last.data.label.ndc
        stranger = next((row for row in others if belongs_to(charted, row.ndc_prefixes)), None)
        if stranger:
            yield case.found("wrong_product_ndc", _field(case, "ndc"), f"NDC of {stranger.brand}")
        elif not belongs_to(charted, own.ndc_prefixes):
            yield case.found("ndc_not_in_formulary", _field(case, "ndc"), "package not known for the product")


def release(case: Case) -> Iterator[Edit]:
    """The bag against its release: lot and NDC must agree."""
    for infusion in case.bundle.given:
        released = release_of(case.draft, infusion.bag_id)
        if released is None:
            yield case.found("release_missing", "remarks")
        elif _differs(infusion, released.data.lot, released.data.ndc):
            yield case.found("label_release_mismatch", _field(case, "ndc"), "lot or NDC")


def _differs(infusion: Infusion, lot: str, released_ndc: str) -> bool:
    mine = infusion.last.data.label
    return mine.lot != lot or eleven(mine.ndc) != eleven(released_ndc)


def units(case: Case) -> Iterator[Edit]:
    """One therapeutic dose is one unit (G125)."""
    own = case.desk.product_row(case.bundle.first)
    lines = [line for line in case.claim.lines if line.service == "cell_product" or line.hcpcs == own.hcpcs]
    if lines and sum(line.units for line in lines) != own.claim_units:
        yield case.found("product_units", _field(case, "units"))
    for fact in case.desk.record.charges:
        ours = fact.event_id in case.used and fact.data.date == case.bundle.first
        if ours and fact.data.hcpcs == own.hcpcs and fact.data.units != own.claim_units and case.bundle.given:
            yield case.found("product_units", _field(case, "units"), f"{fact.data.units} posted to the account")


def twice(case: Case) -> Iterator[Edit]:
    """The product on another claim of the encounter too: that would be a second dose (G125)."""
    mine = any(line.service == "cell_product" for line in case.claim.lines)
    for other in case.siblings if mine else ():
        if other.key != case.claim.key and any(line.service == "cell_product" for line in other.lines):
            named = f"also on Claim {other.letter} {other.ordinal}"
            yield case.found("product_twice", _field(case, "units"), named)


def office(case: Case) -> Iterator[Edit]:
    """An infusion in an office: its amount does not fit a professional claim (corrections C12)."""
    if case.bundle.infusions and case.bundle.setting == "office":
        yield case.found("office_product", "claim")


def invoice_cost(case: Case) -> Iterator[Edit]:
    """An inpatient product needs its acquisition cost (corrections C10)."""
    bundle = case.bundle
    if not (bundle.inpatient and bundle.given) or case.desk.product in case.desk.site.product_invoice_cost:
        return
    if case.desk.policy("invoice_cost", bundle.first, bundle.facility).value == "reported":
        yield case.found("invoice_cost_missing", _field(case, "value_code"))


def expanded_access(case: Case) -> Iterator[Edit]:
    """A bag under expanded access costs the house nothing: its charge is what was posted for it, never the price list's."""
    line = next((line for line in case.draft.lines if line.service == "cell_product"), None)
    if line is not None and accepted_under_it(case.draft) and not line.posted:
        yield case.found("expanded_access_charge", _field(case, "charge"))


def _field(case: Case, value: str) -> str:
    return case.draft.location(value, case.bundle.first).field


CHECKS = (label, ndc, release, units, twice, office, invoice_cost, expanded_access)
