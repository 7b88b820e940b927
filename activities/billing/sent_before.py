"""Claims that were sent before a restore: found again when they are about to go out, and never sent twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from activities.billing.render import CannotRender, ClaimFiles, Numbers, mode_of, payer_of
from domain.billing.submission.model import State
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.versions import ClaimVersion, SentFile
from domain.billing.x12.claim_files import SentClaim, read_claim_file
from store import claims, recovered
from store.engine import Session
from store.tables import RecoveredClaim, Transmission


class SentBefore(CannotRender):
    """It may have been sent already, with other content; a biller must say."""


def sent_before(
    session: Session,
    files: ClaimFiles,
    key: claims.ClaimKey,
    version: ClaimVersion,
    names: PayerResponse | None,
    now: datetime,
) -> Transmission | None:
    """Return the transmission of a claim that went out before a restore; None for one that did not.

    Raises:
        SentBefore: it may be one that went out with other content.
        CannotRender, NoRule: its file cannot be made.
    """
    if not recovered.unmatched(session):
        return None
    payer, mode = payer_of(version.claim, files.site), mode_of(version.claim, files.site)
    today = _as_sent(files, version, names, mode, now)
    found = recovered.find(session, files.keys, key, version.control_number, mode, payer.receiver_id, today)
    if isinstance(found, recovered.Unclear):
        numbers = ", ".join(found.controls)
        raise SentBefore(
            f"a claim of this patient, payer and period was sent before the restore under {numbers} with other content; "
            f"say with `cart-encounter reconcile same` or `other` whether {recovered.key_text(key)} is that claim"
        )
    if found is None:
        return None
    return _adopted(session, files, key, version, found, names, now)


def _as_sent(
    files: ClaimFiles, version: ClaimVersion, names: PayerResponse | None, mode: str, now: datetime
) -> SentClaim:
    """The claim as its file would have it now."""
    numbered = replace(version, control_number=version.control_number or "NONE")
    all_of_it = replace(files, versions=tuple(numbered if one is version else one for one in files.versions))
    numbers = Numbers(1, now, names.payer_number if names else None)
    [claim] = read_claim_file(all_of_it.text(version.number, numbers, mode)).claims
    return claim


def _adopted(
    session: Session,
    files: ClaimFiles,
    key: claims.ClaimKey,
    version: ClaimVersion,
    found: recovered.Found,
    names: PayerResponse | None,
    now: datetime,
) -> Transmission:
    """Give the version the numbers it went out with; nothing is written."""
    row = found.row
    parties = files.parties(version.claim, files.known_at(version.number))
    sent = _transmission(row, key, version, names)
    sent.insured_mark, sent.parties_mark, sent.other_content = parties.insured, parties.others, found.other_content
    file = SentFile(at=row.sent_at, written=True, parties=parties)
    status = replace(version.status, state=State.TRANSMITTED)
    out = replace(
        version,
        state=State.TRANSMITTED,
        status=status,
        control_number=row.control_number,
        frequency=row.frequency or version.frequency,
        sent=file,
    )
    claims.save(session, key, files.versions, (out,))
    session.add(sent)
    recovered.adopted(session, row, key, now)
    session.flush()
    return sent


def _transmission(
    row: RecoveredClaim, key: claims.ClaimKey, version: ClaimVersion, names: PayerResponse | None
) -> Transmission:
    encounter, letter, ordinal = key
    return Transmission(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=version.number,
        control_number=row.control_number,
        mode=row.mode,
        receiver_id=row.receiver_id,
        interchange=row.interchange,
        set_number=row.set_number,
        payer=version.claim.payer,
        replaces_event=names.event if names else None,
        file_digest=row.file_digest,
        created_at=row.sent_at,
        written_at=row.sent_at,
    )
