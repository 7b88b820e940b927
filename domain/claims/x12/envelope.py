"""Interchange, group and transaction headers, submitter, receiver, billing provider, subscriber, payer: both guides alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from domain.claims.model import Claim, Form
from domain.claims.x12.parties import Control, Identity
from domain.site import Facility, PayerId, Site

Segments = list[tuple[str, ...]]
GUIDES = {Form.UB04: "005010X223A2", Form.CMS1500: "005010X222A1"}
_SEXES = {"female": "F", "male": "M"}
_BASIC = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()+,-./;?=")
"""The basic character set of X12; delimiters are not in it."""


def text(value: str, length: int = 60) -> str:
    """The value in the basic character set, capitals, cut to the length of its element."""
    plain = unicodedata.normalize("NFKD", value).upper()
    kept = "".join(c if c in _BASIC else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())[:length].strip()


def day(value: date) -> str:
    return value.strftime("%Y%m%d")


def number(amount: Decimal) -> str:
    """A decimal without trailing zeros, never in exponent form."""
    normal = amount.normalize()
    return f"{normal:f}" if normal != normal.to_integral() else f"{normal.to_integral():f}"


def code(value: str) -> str:
    """A diagnosis code without its dot."""
    return value.replace(".", "")


def facility_of(claim: Claim, site: Site) -> Facility:
    facility = site.facility(claim.facility)
    if facility is None:
        raise ValueError("the site file does not know the facility of this claim")
    return facility


def value_of(claim: Claim, key: str) -> str | None:
    """The value of a form field, found by the rulebook row that places it."""
    return next((f.value for f in claim.fields if key in f.reason.rule.split(".")), None)


def headers(claim: Claim, site: Site, payer: PayerId, control: Control) -> Iterator[tuple[str, ...]]:
    """Envelope, submitter and receiver."""
    made, guide = control.created, GUIDES[claim.form]
    interchange = f"{control.interchange:09d}"
    sender, receiver = f"{site.submitter_id:<15}", f"{payer.receiver_id:<15}"
    mark = "T" if control.test else "P"
    yield (
        *("ISA", "00", " " * 10, "00", " " * 10, "ZZ", sender, "ZZ", receiver),
        *(made.strftime("%y%m%d"), made.strftime("%H%M"), "^", guide[:5], interchange, "0", mark, ":"),
    )
    stamp = (day(made.date()), made.strftime("%H%M"))
    yield ("GS", "HC", site.submitter_id, payer.receiver_id, *stamp, str(control.interchange), "X", guide)
    yield ("ST", "837", "0001", guide)
    yield ("BHT", "0019", "00", f"{control.interchange:09d}", *stamp, "CH")
    yield ("NM1", "41", "2", text(site.name), "", "", "", "", "46", site.submitter_id)
    yield ("PER", "IC", text(site.contact_name), "TE", site.contact_phone)
    yield ("NM1", "40", "2", text(payer.name), "", "", "", "", "46", payer.receiver_id)


def billing(facility: Facility) -> Iterator[tuple[str, ...]]:
    """Loop 2000A and 2010AA."""
    address = facility.address
    yield ("HL", "1", "", "20", "1")
    yield ("PRV", "BI", "PXC", facility.taxonomy)
    yield ("NM1", "85", "2", text(facility.name), "", "", "", "", "XX", facility.npi)
    yield ("N3", text(address.line, 55))
    yield ("N4", text(address.city, 30), address.state, address.postal_code)
    yield ("REF", "EI", facility.tax_id)


def subscriber(identity: Identity, payer: PayerId, control: Control) -> Iterator[tuple[str, ...]]:
    """Loops 2000B, 2010BA and 2010BB: the patient is the insured."""
    where = identity.address
    yield ("HL", "2", "1", "22", "0")
    yield ("SBR", "P", "18", "", "", "", "", "", "", control.filing)
    yield (
        "NM1",
        "IL",
        "1",
        text(identity.family),
        text(identity.given, 35),
        "",
        "",
        "",
        "MI",
        text(identity.member_id, 80),
    )
    yield ("N3", text(where.line, 55))
    yield ("N4", text(where.city, 30), where.state, where.postal_code.replace("-", ""))
    yield ("DMG", "D8", day(identity.birth_date), _SEXES.get(identity.sex, "U"))
    yield ("NM1", "PR", "2", text(payer.name), "", "", "", "", "PI", payer.payer_id)


def references(claim: Claim, identity: Identity, control: Control) -> Iterator[tuple[str, ...]]:
    """Authorization, the claim that is replaced, medical record."""
    if authorization := value_of(claim, "authorization"):
        yield ("REF", "G1", text(authorization, 50))
    if control.replaces:
        yield ("REF", "F8", control.replaces)
    yield ("REF", "EA", text(identity.mrn, 50))


def attending(facility: Facility, claim: Claim) -> tuple[str, str, str]:
    """Family name, given name and NPI of the provider who answers for the claim."""
    family, given = facility.attending_name
    return text(family), text(given, 35), value_of(claim, "attending") or facility.attending_npi


def drug(ndc: str | None, quantity: Decimal | None, unit: str | None) -> Iterator[tuple[str, ...]]:
    """Loop 2410: drug code and quantity."""
    if ndc is None:
        return
    yield ("LIN", "", "N4", ndc)
    if quantity is not None:
        yield ("CTP", "", "", "", number(quantity), unit or "UN")


def procedure(hcpcs: str, modifiers: tuple[str, ...]) -> str:
    return ":".join(("HC", hcpcs, *modifiers))
