"""Send a claim: its interchange number in the step's own transaction, then its complete file, once, in the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from activities.billing import batch_files
from activities.billing.render import CannotRender, ClaimFiles, mode_of, payer_of
from activities.billing.sent_before import sent_before
from domain.billing.submission.model import ORIGINAL, State
from domain.billing.submission.responses import PayerResponse
from domain.billing.submission.versions import ClaimVersion
from domain.billing.x12 import validate
from domain.billing.x12.claim_files import read_claim_file
from store import batches, claims
from store.engine import Session
from store.installation import NumbersExhausted, epoch_of
from store.keys import Keyring
from store.outbox import relative_path, write_once
from store.outbox_index import Entry, OutboxConflict, digest_of
from store.recovered import indexed
from store.sending import Sending
from store.tables import Transmission

Key = tuple[str, str, int, int]
Loaded = Callable[[Session, claims.ClaimKey], ClaimFiles]
"""Loads the files of a claim; the facts of an encounter are read once."""
LEFT_OUT = "its batch was sent without this claim, which can no longer be written; void and rebill it"
OTHER_FILE = "the outbox has another file under its number; sending is held: run `cart-encounter reconcile`"
UNKNOWN_NUMBER = "the payer claim control number of the claim it refers to is not known yet"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A version with an interchange number; `text` is its file, None if it is written already or shares a batch."""

    sent: Transmission
    text: str | None
    batched: bool
    epoch: int = 0


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

    A claim that was sent before a restore takes the numbers it went out with.

    Raises:
        CannotRender, NoRule: the file cannot be made, or a person must say whether it was sent already.
    """
    if version.frequency != ORIGINAL and names is None:
        raise CannotRender(UNKNOWN_NUMBER)
    payer, mode = payer_of(version.claim, files.site), mode_of(version.claim, files.site)
    parties = files.parties(version.claim, files.known_at(version.number))
    before = sent_before(session, files, key, version, names, now)
    if before is not None:
        return Outgoing(before, None, batched=False)
    if version.control_number is None:
        raise CannotRender("it has no control number yet")
    form, minutes = version.claim.form.value, files.site.batch_minutes
    try:
        place = batches.take_place(session, mode, payer.receiver_id, payer.key, form, minutes, now)
    except NumbersExhausted as error:
        raise CannotRender(str(error)) from None
    encounter, letter, ordinal = key
    sent = Transmission(
        encounter_id=encounter,
        letter=letter,
        ordinal=ordinal,
        version=version.number,
        control_number=version.control_number,
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
    return Outgoing(sent, None if batched else text, batched, epoch_of(session))


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


def again(session: Session, files: ClaimFiles, sent: Transmission, sending: Sending) -> Outgoing:
    """Return a version that has its number and may have no file yet; one that has its line in the index is not made again.

    Raises:
        CannotRender, NoRule: the file can no longer be made.
    """
    batched = batches.batch_of(session, sent) is not None
    missing = sent.written_at is None and not batched
    text = None
    if missing:
        text = "" if _begun(sending, sent) else files.text(sent.version, files.numbers(sent), sent.mode)
    return Outgoing(sent, text, batched, epoch_of(session))


def write(sending: Sending, loaded: Loaded, out: Outgoing, now: datetime) -> Sent:
    """Write the file of a version that has its number; completed work is not repeated.

    Safe to retry at any point and beside another worker: a file is never overwritten.

    Raises:
        OSError: the outbox is full or unavailable; the number is kept, try again.
    """
    if out.batched:
        return _batched(sending, loaded, out, now)
    if out.text is not None:
        entry = _begun(sending, out.sent) or entry_of(sending.keys, [out.sent], out.text, out.epoch)
        return _written(sending, entry, out.text, [out.sent], out.sent, now)
    return Sent(out.sent.interchange)


def _begun(sending: Sending, sent: Transmission) -> Entry | None:
    """The line of the file that an earlier try wrote for a transmission; its draft, or the file, is complete."""
    sending.index.refresh()
    entry = sending.index.entries.get(relative_path(sent))
    return entry if entry is not None and sent.control_number in entry.controls else None


def _written(
    sending: Sending, entry: Entry, text: str, inside: list[Transmission], sent: Transmission, now: datetime
) -> Sent:
    """Write the file of claims, once, and note in their rows what went out under the number."""
    try:
        entry = write_once(sending.index, entry, text)
    except OutboxConflict:
        sending.conflict(sent, now)
        return Sent(None, OTHER_FILE)
    with sending.db.write() as session:
        for one in inside:
            row = session.get_one(Transmission, key_of(one))
            row.written_at, row.file_digest = now, entry.digest
        batch = batches.batch_of(session, sent)
        if batch is not None:
            batch.written_at = now
    return Sent(sent.interchange) if key_of(sent) in map(key_of, inside) else Sent(None, LEFT_OUT)


def entry_of(keys: Keyring, members: list[Transmission], text: str, epoch: int) -> Entry:
    """The line of a file in the index of the outbox."""
    of = {claim.control: claim for claim in read_claim_file(text).claims}
    first = members[0]
    return Entry(
        path=relative_path(first),
        digest=digest_of(text),
        mode=first.mode,
        receiver=first.receiver_id,
        interchange=first.interchange,
        epoch=epoch,
        at=first.created_at.astimezone(UTC).isoformat(),
        claims=tuple(indexed(keys, of[one.control_number], one) for one in members),
    )


def _batched(sending: Sending, loaded: Loaded, out: Outgoing, now: datetime) -> Sent:
    """Wait while the batch is open; then close it and write its file, for whichever claim comes first."""
    sent = out.sent
    with sending.db.write() as session:
        batch = batches.batch_of(session, sent)
        assert batch is not None
        if batch.written_at is not None:
            left_out = session.get_one(Transmission, key_of(sent)).written_at is None
            return Sent(None, LEFT_OUT) if left_out else Sent(sent.interchange)
        if now < batch.closes_at and batch.closed_at is None:
            return Sent(sent.interchange, waits_until=batch.closes_at)
        batches.close(session, batch, now)
        members = [(loaded(session, key_of(one)[:3]), one) for one in batches.members(session, batch)]
        entry, text = _begun(sending, sent), ""
        try:
            if entry is None:
                text, inside = batch_files.text_of(members)
                entry = entry_of(sending.keys, inside, text, out.epoch)
            else:
                inside = [one for _, one in members if one.control_number in entry.controls]
        except CannotRender as error:
            return Sent(None, str(error))
    return _written(sending, entry, text, inside, sent, now)
