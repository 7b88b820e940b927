"""A claim as its 837: the document from its row, who it is about from the vault, the numbers from the transmission."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlmodel import Session

from activities.billing.claim_versions import version_at_payer
from domain.billing.model import Claim, Form
from domain.billing.submission.change_reason import with_change_reason
from domain.billing.submission.model import ORIGINAL, VOID
from domain.billing.x12 import Control, Identity, NotWritable, Part, render_batch
from domain.billing.x12.envelope import text
from domain.billing.x12.parties import Address
from domain.rulebook import Rulebook
from domain.rulebook.book import NoRule
from domain.rulebook.rows import Payer
from domain.site import Mode, PayerId, Site
from store.claims import claim_of, versions_of
from store.facts import identity_of
from store.keys import Keyring
from store.tables import ClaimVersion

SHADOW, LIVE = "shadow", "live"


class CannotRender(ValueError):
    """The file cannot be made; the message says why and names no value."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a file is numbered with: ISA13, when it was made, the payer's number of the claim it replaces or voids, ST02."""

    interchange: int
    created: datetime
    replaces: str | None = None
    place: int = 1


def payer_of(row: ClaimVersion, site: Site) -> PayerId:
    """The payer as the site knows it.

    Raises:
        CannotRender: the site file does not name it.
    """
    payer = site.payer(row.payer)
    if payer is None:
        raise CannotRender("the site file does not name this payer")
    return payer


def mode_of(row: ClaimVersion, site: Site) -> Mode:
    """Whether the version goes out live or in shadow, as installation, facility and payer say together.

    Raises:
        CannotRender: the site file does not name the payer.
    """
    return site.mode_of(payer_of(row, site), claim_of(row).facility)


def preview_numbers(row: ClaimVersion) -> Numbers:
    """Numbers of a file that was not transmitted: its own count instead of an interchange number.

    Raises:
        CannotRender: the claim is held; it has no number.
    """
    if row.control_number is None:
        raise CannotRender("this claim is held; cure its errors first")
    return Numbers(int("".join(c for c in row.control_number if c.isdigit())), row.emitted_at or row.built_at)


def file_of(
    session: Session, keys: Keyring, rules: Rulebook, site: Site, row: ClaimVersion, numbers: Numbers, mode: str
) -> str:
    """The 837 of a version: the same row and numbers give the same file while identity, site and rows stay.

    Raises:
        CannotRender: payer, facility or patient is not known, the patient was erased, or a value fits in no file.
        NoRule: the rulebook has no row of the payer for the day of the statement.
    """
    return rendered([part_of(session, keys, rules, site, row, numbers, mode)], site, payer_of(row, site))


def rendered(parts: Sequence[Part], site: Site, payer: PayerId) -> str:
    """The parts as one interchange.

    Raises:
        CannotRender: a value fits in no file.
    """
    try:
        return render_batch(parts, site, payer)
    except NotWritable as error:
        raise CannotRender(str(error)) from None


def part_of(
    session: Session, keys: Keyring, rules: Rulebook, site: Site, row: ClaimVersion, numbers: Numbers, mode: str
) -> Part:
    """A version as a part of an interchange.

    Raises:
        CannotRender, NoRule: as `file_of`.
    """
    claim = claim_of(row)
    facility = site.facility(claim.facility)
    if facility is None:
        raise CannotRender("the site file does not name the facility of this claim")
    control = Control(
        interchange=numbers.interchange,
        claim=row.control_number or "",
        created=numbers.created.astimezone(facility.zone),
        filing=_filing(claim, rules),
        test=mode != LIVE,
        frequency=row.frequency,
        replaces=numbers.replaces,
        place=numbers.place,
    )
    before = _forerunner(session, row)
    said = with_change_reason(claim, claim_of(before) if before else None, row.frequency, rules)
    known_then = before.sequence if before and row.frequency == VOID else None  # the payer knows that claim's insured
    return Part(said, _identity(session, keys, row.encounter_id, known_then), control)


def _forerunner(session: Session, row: ClaimVersion) -> ClaimVersion | None:
    """The version that the payer has, which this one replaces or takes back."""
    if row.frequency == ORIGINAL:
        return None
    versions = versions_of(session, row.encounter_id, row.letter, row.ordinal)
    return version_at_payer([one for one in versions if one.version < row.version])


@dataclass(frozen=True, slots=True)
class Marks:
    """Keyed hashes of what a file takes from beside the claim, by which a later correction is told.

    Attributes:
        insured: who the payer is asked to cover; a claim that the payer has is replaced when it changes.
        parties: the rest: address, record number, provider, payer, submitter; it counts for a rejected claim only, since
            nobody replaces a paid claim because a patient moved.
    """

    insured: str
    parties: str


def marks_of(session: Session, keys: Keyring, rules: Rulebook, site: Site, row: ClaimVersion) -> Marks | None:
    """The marks as a file would be written now; None where none could be."""
    claim, payer = claim_of(row), site.payer(row.payer)
    facility = site.facility(claim.facility)
    if payer is None or facility is None:
        return None
    try:
        who, filing = _identity(session, keys, row.encounter_id), _filing(claim, rules)
    except (CannotRender, NoRule):
        return None
    billing = facility.model_dump(
        mode="json", include={"name", "npi", "tax_id", "taxonomy", "address", "attending_npi", "attending_name"}
    )
    submitter = site.model_dump(mode="json", include={"name", "submitter_id", "contact_name", "contact_phone"})
    ids = payer.model_dump(mode="json", include={"name", "receiver_id", "payer_id"})
    rest = [asdict(who.address), who.mrn, billing, facility.attending_taxonomy, submitter, ids, filing]
    return Marks(insured_mark(keys, who), keys.digest("claim parties", json.dumps(rest, sort_keys=True)))


def insured_mark(keys: Keyring, who: Identity) -> str:
    """A keyed hash of the insured as a file names them."""
    names = (text(who.family), text(who.given, 35), who.birth_date.isoformat(), who.sex, who.member_id.strip())
    return keys.digest("claim insured", *names)


def insured_of(session: Session, keys: Keyring, encounter_id: str) -> str | None:
    """The mark of an encounter's insured; None while nobody can be named."""
    try:
        return insured_mark(keys, _identity(session, keys, encounter_id))
    except CannotRender:
        return None


def _filing(claim: Claim, rules: Rulebook) -> str:
    row = rules.one(Payer, claim.statement_from, key=claim.payer)
    professional = row.claim_filing_professional if claim.form is Form.CMS1500 else None
    return professional or row.claim_filing


def _identity(session: Session, keys: Keyring, encounter: str, up_to_sequence: int | None = None) -> Identity:
    who = identity_of(session, keys, encounter, up_to_sequence)
    if who is None:
        raise CannotRender("no referral has named the patient yet")
    if who["erased"]:
        raise CannotRender("the patient was erased")
    patient = who["patient"]
    return Identity(
        family=patient["name"]["family"],
        given=patient["name"]["given"],
        birth_date=date.fromisoformat(patient["birth_date"]),
        sex=patient["sex"],
        address=Address(**{key: patient["address"][key] for key in ("line", "city", "state", "postal_code")}),
        member_id=who["member_id"],
        mrn=patient["mrn"],
    )
