"""Edits on the product: label, NDC, release, units, invoice cost (denials 9 and 12)."""

from __future__ import annotations

from collections.abc import Iterator

from domain.billing.build.expanded_access import accepted_under_it
from domain.billing.build.infusion import release_of
from domain.billing.edits.review import ClaimReview
from domain.billing.model import Edit
from domain.billing.ndc import belongs_to, eleven
from domain.encounter.record import Infusion
from domain.rulebook.rows import Product


def label(review: ClaimReview) -> Iterator[Edit]:
    """The chain-of-identity label decides the product code; another code on it holds the claim (G81, G440)."""
    own = review.context.product_row(review.services.first)
    for infusion in review.services.given:
        if infusion.last.data.label.hcpcs != own.hcpcs:
            yield review.found(
                "wrong_product_code", _field(review, "hcpcs"), f"the label names {infusion.last.data.label.hcpcs}"
            )


def ndc(review: ClaimReview) -> Iterator[Edit]:
    """An NDC of another product, or one that may be missing in the payer's drug file (denials 9, 12)."""
    own = review.context.product_row(review.services.first)
    others = [row for row in review.context.rules.find(Product, review.services.first) if row.key != own.key]
    for infusion in review.services.given:
        charted = infusion.last.data.label.ndc
        other_product = next((row for row in others if belongs_to(charted, row.ndc_prefixes)), None)
        if other_product:
            yield review.found("wrong_product_ndc", _field(review, "ndc"), f"NDC of {other_product.brand}")
        elif not belongs_to(charted, own.ndc_prefixes):
            yield review.found(
                "ndc_not_in_formulary", _field(review, "ndc"), "package not in the NDC list of the product"
            )


def release(review: ClaimReview) -> Iterator[Edit]:
    """The bag against its release: lot and NDC must agree."""
    for infusion in review.services.given:
        released = release_of(review.draft, infusion.bag_id)
        if released is None:
            yield review.found("release_missing", "remarks")
        elif _differs(infusion, released.data.lot, released.data.ndc):
            yield review.found("label_release_mismatch", _field(review, "ndc"), "lot or NDC")


def _differs(infusion: Infusion, lot: str, released_ndc: str) -> bool:
    mine = infusion.last.data.label
    return mine.lot != lot or eleven(mine.ndc) != eleven(released_ndc)


def units(review: ClaimReview) -> Iterator[Edit]:
    """One therapeutic dose is one unit (G125)."""
    own = review.context.product_row(review.services.first)
    lines = [line for line in review.claim.lines if line.service == "cell_product" or line.hcpcs == own.hcpcs]
    if lines and sum(line.units for line in lines) != own.claim_units:
        yield review.found("product_units", _field(review, "units"))
    for fact in review.context.record.charges:
        ours = fact.event_id in review.used and fact.data.date == review.services.first
        if ours and fact.data.hcpcs == own.hcpcs and fact.data.units != own.claim_units and review.services.given:
            yield review.found("product_units", _field(review, "units"), f"{fact.data.units} posted to the account")


def twice(review: ClaimReview) -> Iterator[Edit]:
    """The product is also on another claim of the encounter, which would be a second dose (G125)."""
    mine = any(line.service == "cell_product" for line in review.claim.lines)
    for other in review.siblings if mine else ():
        if other.key != review.claim.key and any(line.service == "cell_product" for line in other.lines):
            named = f"also on Claim {other.letter} {other.ordinal}"
            yield review.found("product_twice", _field(review, "units"), named)


def office(review: ClaimReview) -> Iterator[Edit]:
    """An infusion in an office: its amount exceeds the limit of a professional claim (corrections C12)."""
    if review.services.infusions and review.services.setting == "office":
        yield review.found("office_product", "claim")


def invoice_cost(review: ClaimReview) -> Iterator[Edit]:
    """An inpatient product needs its acquisition cost (corrections C10)."""
    services = review.services
    if (
        not (services.inpatient and services.given)
        or review.context.product in review.context.site.product_invoice_cost
    ):
        return
    if review.context.policy("invoice_cost", services.first, services.facility).value == "reported":
        yield review.found("invoice_cost_missing", _field(review, "value_code"))


def expanded_access(review: ClaimReview) -> Iterator[Edit]:
    """A bag under expanded access is free for the hospital: its charge is the posted one, never the chargemaster's."""
    line = next((line for line in review.draft.lines if line.service == "cell_product"), None)
    if line is not None and accepted_under_it(review.draft) and not line.posted:
        yield review.found("expanded_access_charge", _field(review, "charge"))


def _field(review: ClaimReview, value: str) -> str:
    return review.draft.location(value, review.services.first).field


CHECKS = (label, ndc, release, units, twice, office, invoice_cost, expanded_access)
