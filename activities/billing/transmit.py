"""Send a claim: its interchange number in the step's own transaction, then its complete file, once, in the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from activities.billing import batch_files
from activities.billing.render import CannotRender, ClaimFiles, mode_of, payer_of
from domain.billing.submission.model import ORIGINAL, State
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.versions import ClaimVersion
from domain.billing.x12 import validate
from store import batches, claims
from store.engine import Database, Session
from store.outbox import file_path, write_once
from store.tables import Transmission

Key = tuple[str, str, int, int]
Loaded = Callable[[Session, claims.ClaimKey], ClaimFiles]
"""Loads the files of a claim; the facts of an encounter are read once."""
LEFT_OUT = "its batch was sent without this claim, which can no longer be written; void and rebill it"
UNKNOWN_NUMBER = "the payer claim control number of the claim it refers to is not known yet"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A version with an interchange number; `text` is its file, None if it is written already or shares a batch."""

    sent: Transmission
    text: str | None
    batched: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of sending: the interchange, or why there is none; `waits_until` while its batch is open."""

    interchange: int | None
    obstacle: str | None = None
    waits_until: datetime | None = None


def key_of(sent: Transmission) -> Key:
    return sent.encounter_id, sent.letter, sent.ordinal, sent.version


def number(
    session: Session,
    files: ClaimFiles,
    key: claims.ClaimKey,
    version: ClaimVersion,
    names: PayerResponse | None,
    now: datetime,
) -> Outgoing:
    """Take the next interchange number for a version. A file that cannot be made or does not pass takes none: roll back.

    Args:
        names: the response that gave the payer claim control number of what the version replaces or voids.

    Raises:
        CannotRender, NoRule: the file cannot be made.
    """
    if version.frequency != ORIGINAL and names is None:
        raise CannotRender(UNKNOWN_NUMBER)
    payer, mode = payer_of(version.claim, files.site), mode_of(version.claim, files.site)
    parties = files.parties(version.claim, files.known_at(version.number))
    form, minutes = version.claim.form.value, files.site.batch_minutes
    place = batches.take_place(session, mode, payer.receiver_id, payer.key, form, minutes, now)
    encounter, letter, ordinal = key
    sent = Transmission(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=version.number,
        control_number=version.control_number or "",
        mode=mode,
        receiver_id=payer.receiver_id,
        interchange=place.interchange,
        set_number=place.place,
        payer=payer.key,
        replaces_event=names.event if names else None,
        insured_mark=parties.insured,
        parties_mark=parties.others,
        created_at=now,
    )
    text = _checked(_with(files, version, sent), sent)
    session.add(sent)
    status = replace(version.status, state=State.TRANSMITTED)
    claims.save(session, key, files.versions, (replace(version, state=State.TRANSMITTED, status=status),))
    session.flush()
    batched = batches.batch_of(session, sent) is not None
    return Outgoing(sent, None if batched else text, batched)


def _with(files: ClaimFiles, version: ClaimVersion, sent: Transmission) -> ClaimFiles:
    """The files as they are once the version is sent."""
    out = replace(version, sent=claims.sent_file(sent))
    return replace(files, versions=tuple(out if one.number == out.number else one for one in files.versions))


def _checked(files: ClaimFiles, sent: Transmission) -> str:
    text = files.text(sent.version, files.numbers(sent), sent.mode)
    findings = validate(text)
    if findings:
        raise CannotRender("the file does not pass: " + "; ".join(findings[:5]))
    return text


def again(session: Session, files: ClaimFiles, sent: Transmission) -> Outgoing:
    """Return a version that has its number and may have no file yet.

    Raises:
        CannotRender, NoRule: the file can no longer be made.
    """
    batched = batches.batch_of(session, sent) is not None
    missing = sent.written_at is None and not batched
    text = files.text(sent.version, files.numbers(sent), sent.mode) if missing else None
    return Outgoing(sent, text, batched)


def write(db: Database, loaded: Loaded, outbox: Path, out: Outgoing, now: datetime) -> Sent:
    """Write the file of a version that has its number; completed work is not repeated.

    Safe to retry at any point and beside another worker: a file is never overwritten.

    Raises:
        OSError: the outbox is full or unavailable; the number is kept, try again.
    """
    if out.batched:
        return _batched(db, loaded, outbox, out.sent, now)
    if out.text is not None:
        write_once(file_path(outbox, out.sent), out.text)
        with db.write() as session:
            session.get_one(Transmission, key_of(out.sent)).written_at = now
    return Sent(out.sent.interchange)


def _batched(db: Database, loaded: Loaded, outbox: Path, sent: Transmission, now: datetime) -> Sent:
    """Wait while the batch is open; then close it and write its file, for whichever claim comes first."""
    with db.write() as session:
        batch = batches.batch_of(session, sent)
        assert batch is not None
        if batch.written_at is not None:
            left_out = session.get_one(Transmission, key_of(sent)).written_at is None
            return Sent(None, LEFT_OUT) if left_out else Sent(sent.interchange)
        if now < batch.closes_at and batch.closed_at is None:
            return Sent(sent.interchange, waits_until=batch.closes_at)
        batches.close(session, batch, now)
        members = [(loaded(session, key_of(one)[:3]), one) for one in batches.members(session, batch)]
        try:
            text, inside = batch_files.text_of(members)
        except CannotRender as error:
            return Sent(None, str(error))
    write_once(file_path(outbox, sent), text)
    with db.write() as session:
        for one in inside:
            session.get_one(Transmission, key_of(one)).written_at = now
        written = batches.batch_of(session, sent)
        assert written is not None
        written.written_at = now
    return Sent(sent.interchange) if key_of(sent) in map(key_of, inside) else Sent(None, LEFT_OUT)
