"""Render a claim as its 837: the document of its version, identity from the vault, numbers from the transmission."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property

from domain.billing.model import Claim, Form
from domain.billing.submission.change_reason import with_change_reason
from domain.billing.submission.model import VOID
from domain.billing.submission.payer_view import Reported, named_number, refers_to, reported
from domain.billing.submission.versions import ClaimVersion, Parties
from domain.billing.x12 import Control, Identity, NotWritable, Part, render_batch
from domain.billing.x12.envelope import text
from domain.billing.x12.parties import Address
from domain.rulebook import Rulebook
from domain.rulebook.book import NoRule
from domain.rulebook.rows import Payer
from domain.site import Mode, PayerId, Site
from store import claims
from store.engine import Session
from store.facts import EncounterFacts, load_own
from store.keys import Keyring
from store.tables import Transmission

LIVE = "live"


class CannotRender(ValueError):
    """The file cannot be made; the message gives the reason and names no value."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a file: ISA13, its time, the payer's number of the claim it replaces or voids, ST02."""

    interchange: int
    created: datetime
    replaces: str | None = None
    place: int = 1


def payer_of(claim: Claim, site: Site) -> PayerId:
    """Return the payer of the site file.

    Raises:
        CannotRender: the site file does not name it.
    """
    payer = site.payer(claim.payer)
    if payer is None:
        raise CannotRender("the site file does not name this payer")
    return payer


def mode_of(claim: Claim, site: Site) -> Mode:
    """Return whether the claim goes out live or in shadow, by installation, facility and payer together.

    Raises:
        CannotRender: the site file does not name the payer.
    """
    return site.mode_of(payer_of(claim, site), claim.facility)


def rendered(parts: Sequence[Part], site: Site, payer: PayerId) -> str:
    """Return the parts as one interchange.

    Raises:
        CannotRender: a value fits in no file.
    """
    try:
        return render_batch(parts, site, payer)
    except NotWritable as error:
        raise CannotRender(str(error)) from None


@dataclass(frozen=True)
class ClaimFiles:
    """The files of one claim's versions. Versions and facts of the encounter are loaded once, before."""

    versions: tuple[ClaimVersion, ...]
    facts: EncounterFacts
    keys: Keyring
    rules: Rulebook
    site: Site

    @cached_property
    def reports(self) -> tuple[Reported, ...]:
        return reported(self.versions, self.facts.responses, self.rules)

    def report(self, number: int) -> Reported:
        """The version of that number with what was reported on it."""
        return next(one for one in self.reports if one.version.number == number)

    def refers_to(self, number: int) -> Reported | None:
        """The version that a replacement or void changes."""
        return refers_to(self.report(number), self.reports)

    def number_named(self, number: int) -> str | None:
        """The payer claim control number that the file of a replacement or void names, or would name now."""
        one = self.report(number)
        if one.version.sent is not None:
            return named_number(one, self.reports)
        referred = self.refers_to(number)
        return referred.payer_number if referred else None

    def numbers(self, sent: Transmission) -> Numbers:
        """The numbers a version was sent with."""
        return Numbers(sent.interchange, sent.created_at, self.number_named(sent.version), sent.set_number)

    def preview_numbers(self, number: int) -> Numbers:
        """Numbers of a file that was not transmitted: its own count instead of an interchange number.

        Raises:
            CannotRender: the claim is held; it has no number.
        """
        version = self.report(number).version
        if version.control_number is None:
            raise CannotRender("this claim is held; correct its errors first")
        count = int("".join(c for c in version.control_number if c.isdigit()))
        return Numbers(count, version.emitted_at or version.built_at)

    def text(self, number: int, numbers: Numbers, mode: str) -> str:
        """The 837 of a version: the same version and numbers give the same file while identity, site and rows stay.

        Raises:
            CannotRender: payer, facility or patient is not known, the patient was erased, or a value fits in no file.
            NoRule: the rulebook has no row of the payer for the day of the statement.
        """
        payer = payer_of(self.report(number).version.claim, self.site)
        return rendered([self.part(number, numbers, mode)], self.site, payer)

    def part(self, number: int, numbers: Numbers, mode: str) -> Part:
        """A version as a part of an interchange.

        Raises:
            CannotRender, NoRule: as `text`.
        """
        version = self.report(number).version
        claim, facility = version.claim, self.site.facility(version.claim.facility)
        if facility is None:
            raise CannotRender("the site file does not name the facility of this claim")
        control = Control(
            interchange=numbers.interchange,
            claim=version.control_number or "",
            created=numbers.created.astimezone(facility.zone),
            filing=_filing(claim, self.rules),
            test=mode != LIVE,
            frequency=version.frequency,
            replaces=numbers.replaces,
            place=numbers.place,
        )
        before = self.refers_to(number)
        with_reason = with_change_reason(claim, before.version.claim if before else None, version.frequency, self.rules)
        return Part(with_reason, self._identity(self.known_at(number)), control)

    def known_at(self, number: int) -> int | None:
        """Return up to which facts a file names the patient: a void uses the identity that the payer has."""
        before = self.refers_to(number) if self.report(number).version.frequency == VOID else None
        return before.version.sequence if before else None

    def parties(self, claim: Claim, as_of: int | None = None) -> Parties:
        """Return keyed hashes of the parties that a file, written now, would name besides the claim."""
        try:
            who = self._identity(as_of)
        except CannotRender:
            return Parties()
        return Parties(_insured(self.keys, who), self._others(claim, who))

    def _others(self, claim: Claim, who: Identity) -> str | None:
        payer, facility = self.site.payer(claim.payer), self.site.facility(claim.facility)
        if payer is None or facility is None:
            return None
        try:
            filing = _filing(claim, self.rules)
        except NoRule:
            return None
        billing = facility.model_dump(
            mode="json", include={"name", "npi", "tax_id", "taxonomy", "address", "attending_npi", "attending_name"}
        )
        submitter = self.site.model_dump(mode="json", include={"name", "submitter_id", "contact_name", "contact_phone"})
        ids = payer.model_dump(mode="json", include={"name", "receiver_id", "payer_id"})
        rest = [asdict(who.address), who.mrn, billing, facility.attending_taxonomy, submitter, ids, filing]
        return self.keys.digest("claim parties", json.dumps(rest, sort_keys=True))

    def _identity(self, up_to_sequence: int | None) -> Identity:
        who = self.facts.up_to(up_to_sequence).identity
        if who is None:
            raise CannotRender("no referral received for this patient")
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


def load_files(
    session: Session,
    keys: Keyring,
    rules: Rulebook,
    site: Site,
    key: claims.ClaimKey,
    facts: EncounterFacts | None = None,
) -> ClaimFiles:
    """The files of a claim; `facts`: those of the encounter, where they are loaded already."""
    own = facts if facts is not None else load_own(session, keys, key[0])
    return ClaimFiles(claims.load(session, key), own, keys, rules, site)


def _insured(keys: Keyring, who: Identity) -> str:
    """A keyed hash of the insured as a file names them."""
    names = (text(who.family), text(who.given, 35), who.birth_date.isoformat(), who.sex, who.member_id.strip())
    return keys.digest("claim insured", *names)


def _filing(claim: Claim, rules: Rulebook) -> str:
    row = rules.one(Payer, claim.statement_from, key=claim.payer)
    professional = row.claim_filing_professional if claim.form is Form.CMS1500 else None
    return professional or row.claim_filing
