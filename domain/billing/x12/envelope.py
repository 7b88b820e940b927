"""Interchange, group and transaction headers, submitter, receiver, billing provider, subscriber, payer: both guides alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from domain.billing.model import Claim, Form
from domain.billing.x12.parties import Control, Identity
from domain.site import Facility, PayerId, Site

Segments = list[tuple[str, ...]]
GUIDES = {Form.UB04: "005010X223A2", Form.CMS1500: "005010X222A1"}
_SEXES = {"female": "F", "male": "M"}
_BASIC = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()+,-./;?=")
"""The basic character set of X12; delimiters are not in it."""
_EXTENDED = frozenset("abcdefghijklmnopqrstuvwxyz%@[]_{}\\|<>#$") | _BASIC
"""What both guides allow besides, where a value must not be rewritten."""
_LETTERS = str.maketrans(
    {"Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Ħ": "H", "Ŧ": "T", "ı": "I", "Æ": "AE", "Œ": "OE", "Þ": "TH", "ẞ": "SS"}
    | dict.fromkeys("\u2018\u2019\u201b\u02bc\u02bb\u00b4`", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
)
"""Letters and marks that no decomposition turns into a basic one. Dropping them would bill another name."""


_LINES = frozenset("\r\n\t")
"""Free text may hold these; a file shows them as one blank."""
_HIDDEN = frozenset({"Cc", "Cf"})
"""Control and format characters, marks of direction among them: invisible, and they change what is read."""


class NotWritable(ValueError):
    """A value that a file cannot carry as it is. The message names the place of the value and the fix, never the value."""


def text(value: str, length: int = 60) -> str:
    """The value in the basic character set, capitals, cut to the length of its element; invisible characters are left out."""
    seen = "".join(c for c in value if c in _LINES or unicodedata.category(c) not in _HIDDEN)
    plain = unicodedata.normalize("NFKD", seen.upper().translate(_LETTERS)).upper()
    kept = "".join(c if c in _BASIC else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())[:length].strip()


def free(value: str, what: str, length: int = 60) -> str:
    """Free text in the basic character set: line ends and tabs become one blank.

    Raises:
        NotWritable: it holds a control character or a mark of direction.
    """
    if any(_is_hidden(c) and c not in _LINES for c in value):
        raise NotWritable(f"{what} holds a control character or a mark of direction; correct it")
    return text(value, length)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def name(value: str, what: str, length: int = 60) -> str:
    """A name of a person in the basic character set.

    Raises:
        NotWritable: a letter of it has no basic form (another script), and half a name would be another person's; or it holds an
            invisible character.
    """
    if any(map(_is_hidden, value)):
        raise NotWritable(f"{what} holds a control character or a mark of direction; register it without")
    whole = text(value, 4 * len(value))
    letters = sum(c.isalpha() for c in unicodedata.normalize("NFC", value))
    if not whole or sum(c.isalpha() for c in whole) < letters:
        raise NotWritable(f"{what} has letters outside the Latin alphabet; register its Latin spelling")
    return text(value, length)


def identifier(value: str, what: str, length: int) -> str:
    """An identifier as it is, case and marks kept: a rewritten number is another number.

    Raises:
        NotWritable: it holds a delimiter or another character that the guides do not allow, or is too long.
    """
    if not value or len(value) > length or not set(value) <= _EXTENDED:
        raise NotWritable(f"{what} is empty, too long or has a character that an X12 file cannot carry; correct it")
    return value


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


def opening(form: Form, site: Site, payer: PayerId, control: Control) -> Iterator[tuple[str, ...]]:
    """Interchange and group header: of one guide, however many claims follow."""
    made, guide = control.created, GUIDES[form]
    interchange = f"{control.interchange:09d}"
    sender, receiver = f"{site.submitter_id:<15}", f"{payer.receiver_id:<15}"
    mark = "T" if control.test else "P"
    yield (
        *("ISA", "00", " " * 10, "00", " " * 10, "ZZ", sender, "ZZ", receiver),
        *(made.strftime("%y%m%d"), made.strftime("%H%M"), "^", guide[:5], interchange, "0", mark, ":"),
    )
    stamp = (day(made.date()), made.strftime("%H%M"))
    yield ("GS", "HC", site.submitter_id, payer.receiver_id, *stamp, str(control.interchange), "X", guide)


def headers(claim: Claim, site: Site, payer: PayerId, control: Control) -> Iterator[tuple[str, ...]]:
    """Transaction header, submitter and receiver."""
    made = control.created
    stamp = (day(made.date()), made.strftime("%H%M"))
    yield ("ST", "837", f"{control.place:04d}", GUIDES[claim.form])
    yield ("BHT", "0019", "00", f"{control.interchange:09d}", *stamp, "CH")
    yield ("NM1", "41", "2", text(site.name), "", "", "", "", "46", site.submitter_id)
    phone = "".join(digit for digit in site.contact_phone if digit.isdigit())
    yield ("PER", "IC", text(site.contact_name), "TE", phone)
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
        name(identity.family, "the patient's family name"),
        name(identity.given, "the patient's given name", 35),
        "",
        "",
        "",
        "MI",
        identifier(identity.member_id, "the member number", 80),
    )
    yield ("N3", free(where.line, "the patient's address", 55))
    yield ("N4", free(where.city, "the patient's city", 30), where.state, where.postal_code.replace("-", ""))
    yield ("DMG", "D8", day(identity.birth_date), _SEXES.get(identity.sex, "U"))
    yield ("NM1", "PR", "2", text(payer.name), "", "", "", "", "PI", payer.payer_id)


def references(claim: Claim, identity: Identity, control: Control) -> Iterator[tuple[str, ...]]:
    """Authorization, the claim that is replaced, medical record."""
    if authorization := value_of(claim, "authorization"):
        yield ("REF", "G1", identifier(authorization, "the authorization number", 50))
    if control.replaces:
        yield ("REF", "F8", identifier(control.replaces, "the payer's number of the claim", 50))
    yield ("REF", "EA", identifier(identity.mrn, "the medical record number", 50))


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
