"""The content of the 837 of a claim: two documents with the same segments bill the same, whatever their explanations."""

from __future__ import annotations

from datetime import UTC, date, datetime

from domain.billing.model import Claim, Form
from domain.billing.x12 import institutional, professional
from domain.billing.x12.envelope import NotWritable, Segments
from domain.billing.x12.parties import Address, Control, Identity
from domain.site import Site

_ANY = "X"
_NO_PATIENT = Identity(_ANY, _ANY, date(1900, 1, 1), _ANY, Address(_ANY, _ANY, _ANY, _ANY), _ANY, _ANY)
_UNNUMBERED = Control(interchange=0, claim="", created=datetime(1900, 1, 1, tzinfo=UTC), filing="")


def same_bill(one: Claim, other: Claim, site: Site) -> bool:
    """True when both render the same segments for the same payer, the patient and the numbers left out.

    Both are rendered by the code and the site file of this moment, so that neither an upgrade nor an edit of the site
    makes a claim differ from itself. Documents that cannot be rendered, by this site or by any, are compared whole.
    """
    if one.content_hash == other.content_hash:
        return True
    first, second = _billed(one, site), _billed(other, site)
    return first is not None and first == second


def _billed(claim: Claim, site: Site) -> tuple[str, str, Segments] | None:
    payer = site.payer(claim.payer)
    if payer is None or site.facility(claim.facility) is None:
        return None
    body = professional.body if claim.form is Form.CMS1500 else institutional.body
    try:
        return claim.payer, claim.facility, body(claim, _NO_PATIENT, site, payer, _UNNUMBERED)
    except NotWritable:
        return None
