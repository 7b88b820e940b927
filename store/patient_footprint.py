"""A patient's footprint outside the vault: how it is recognized and how it is removed.

Recognized by numbers that are a word of their own, or by the family name together with the birth date; a number that is
part of a longer one does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from store.claims import clean
from store.identifiers import ORDER
from store.keys import Keyring
from store.outbox_index import INDEX
from store.tables import (
    AlertRecord,
    Alias,
    ClaimVersion,
    EmergencyAccess,
    Encounter,
    Patient,
    RecoveredClaim,
    Transmission,
    sealed_for,
)
from store.vault import ERASED, identities

SHORTEST_OWN, SHORTEST_OTHER = 4, 6
"""Fewest characters of a record or member number, and of any other number, that is searched for: shorter ones match by chance."""

ALIAS_KINDS = frozenset({ORDER, "appointment", "admission", "visit"})
"""Identifiers that lead to a person; those of cells stay."""


@dataclass(frozen=True)
class Footprint:
    """The numbers and names that recognize a patient in a text."""

    numbers: frozenset[str]
    names: frozenset[tuple[str, str]]
    """Family name and birth date (ISO)."""

    def in_text(self, text: str) -> bool:
        """True for a text that is about the patient."""
        return bool(self._pattern.search(text)) or any(
            _contains_word(family, text) and (born in text or born.replace("-", "") in text)
            for family, born in self.names
        )

    @property
    def _pattern(self) -> re.Pattern[str]:
        words = "|".join(sorted(map(re.escape, self.numbers), key=len, reverse=True))
        return re.compile(rf"(?<![0-9A-Za-z])(?:{words or '(?!)'})(?![0-9A-Za-z])")


def _contains_word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def footprint_of(
    session: Session, keys: Keyring, patients: Iterable[Patient], encounters: Iterable[str], more: Iterable[str]
) -> Footprint:
    """The footprint of a patient from the vault, the aliases and `more`."""
    others, own = {value.strip() for value in more}, set()
    names: set[tuple[str, str]] = set()
    for patient in patients:
        for identity in identities(keys, patient).values():
            known = identity.get("patient")
            own.add(str(identity.get("member_id", "")).strip())
            if isinstance(known, dict):
                own.add(str(known.get("mrn", "")).strip())
                names |= _names(known)
    aliases = select(Alias).where(col(Alias.encounter_id).in_(list(encounters)), col(Alias.kind).in_(ALIAS_KINDS))
    others |= {
        keys.open(row.value, sealed_for("aliases.value", row.alias_key)).decode() for row in session.exec(aliases)
    }
    numbers = {n for n in own if len(n) >= SHORTEST_OWN} | {n for n in others if len(n) >= SHORTEST_OTHER}
    return Footprint(frozenset(n for n in numbers if not n.startswith(ERASED)), frozenset(names))


def _names(known: Mapping[str, Any]) -> set[tuple[str, str]]:
    name, born = known.get("name"), str(known.get("birth_date", ""))
    family = str(name.get("family", "")) if isinstance(name, dict) else ""
    try:
        date.fromisoformat(born)
    except ValueError:
        return set()
    return {(family, born)} if len(family) > 1 and family != ERASED else set()


def erase_rows(session: Session, encounters: Iterable[str], footprint: Footprint) -> None:
    """Remove the patient's numbers from claims, views and alerts; lines, codes, dates and amounts stay."""
    wanted = list(encounters)
    for claim in session.exec(select(ClaimVersion).where(col(ClaimVersion.encounter_id).in_(wanted))):
        clean(claim, lambda value: cleaned(value, footprint))
        session.add(claim)
    for encounter in wanted:
        row = session.get_one(Encounter, encounter)
        row.view = cleaned(row.view, footprint)
        session.add(row)
    for alert in session.exec(select(AlertRecord).where(col(AlertRecord.encounter_id).in_(wanted))):
        alert.acknowledged_note = None
        session.add(alert)
    for kept in session.exec(select(RecoveredClaim).where(col(RecoveredClaim.encounter_id).in_(wanted))):
        without_identity(kept)
        session.add(kept)
    for access in session.exec(select(EmergencyAccess).where(col(EmergencyAccess.encounter_id).in_(wanted))):
        access.reason = None
        session.add(access)
    for sent in session.exec(select(Transmission).where(col(Transmission.encounter_id).in_(wanted))):
        sent.insured_mark = None
        session.add(sent)


def without_identity(kept: RecoveredClaim) -> None:
    """Remove the text and the marks of who it names from a recovered claim; numbers, dates and amounts stay."""
    kept.body = kept.member_mark = kept.person_mark = kept.exact_mark = kept.bill_mark = None


def erase_recovered(session: Session, keys: Keyring, footprint: Footprint) -> None:
    """Remove the identity from claims that were recovered and that no encounter has: their texts name the patient."""
    for kept in session.exec(select(RecoveredClaim).where(col(RecoveredClaim.body).is_not(None))):
        text = keys.open(kept.body or b"", sealed_for("recovered_claims.body", kept.recovered_id)).decode("latin-1")
        if footprint.in_text(text):
            without_identity(kept)
            session.add(kept)


def cleaned(value: Any, footprint: Footprint) -> Any:
    """The same structure without the texts that are about the patient."""
    if isinstance(value, dict):
        return {key: cleaned(inner, footprint) for key, inner in value.items()}
    if isinstance(value, list):
        return [cleaned(inner, footprint) for inner in value]
    if not isinstance(value, str):
        return value
    # A code or an amount is compared whole: part of it may equal a number by chance.
    about = footprint.in_text(value) if " " in value else value in footprint.numbers
    return ERASED if about else value


def erase_files(directories: Iterable[Path], footprint: Footprint, controls: Iterable[str]) -> int:
    """Remove claim files and payer response files about the patient, with their notes; returns how many.

    A payer's file may be about others, too: its responses to their claims are in the database.
    """
    known = Footprint(footprint.numbers | frozenset(controls), footprint.names)
    removed = 0
    for path in (path for directory in directories for path in sorted(directory.rglob("*")) if path.is_file()):
        if path.name != INDEX and path.suffix != ".json" and known.in_text(path.read_text(encoding="latin-1")):
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()
            removed += 1
    return removed


def controls_of(session: Session, encounters: Iterable[str]) -> list[str]:
    """The control numbers by which payers' files name the patient's claims."""
    query = select(ClaimVersion.control_number).where(col(ClaimVersion.encounter_id).in_(list(encounters)))
    return sorted({number for number in session.exec(query) if number})
