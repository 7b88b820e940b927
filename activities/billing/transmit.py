"""Sending a claim: its interchange number in the row's own transaction, then its file, whole, once, in the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlmodel import Session

from activities.billing import batches
from activities.billing.claim_versions import version_at_payer
from activities.billing.render import CannotRender, Numbers, file_of, marks_of, mode_of, payer_of
from domain.billing.submission.payer_order import of_first
from domain.billing.submission.responses import PayerResponse, payer_number, replies
from domain.billing.submission.model import ORIGINAL, State
from domain.billing.x12 import validate
from domain.encounter.facts import fold
from domain.rulebook.book import NoRule
from store.claims import versions_of
from store.config import ConfigCache
from store.engine import Database
from store.facts import load_facts_in
from store.keys import Keyring
from store.outbox import file_path, write_once
from store.tables import ClaimVersion, Encounter, Transmission

Key = tuple[str, str, int, int]
LEFT_OUT = "its batch went out without it, since it could not be written any more; void it and bill anew"
UNKNOWN_NUMBER = "the payer's number of the claim it refers to is not known yet"


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending came to: the interchange, or why there is none; `waits_until` while its batch is open."""

    interchange: int | None
    obstacle: str | None = None
    waits_until: datetime | None = None


def transmit(db: Database, keys: Keyring, config: ConfigCache, outbox: Path, key: Key, now: datetime) -> Sent:
    """Number the version and write its file; whatever was done before is not done again.

    Safe to retry at any point and beside another worker: the row takes the number once, the file is rendered from the row
    and never overwritten.

    Raises:
        OSError: the outbox is full or away; the number stands, try again.
    """
    try:
        with db.write() as session:
            session.get_one(Encounter, key[0], with_for_update=True)
            row = session.get_one(ClaimVersion, key)
            sent = session.get(Transmission, key)
            if sent is None and row.state != State.EMITTED:
                return Sent(None)
            if sent is None:
                sent = _number(session, keys, config, row, now)
            batch = batches.batch_of(session, sent)
            text = _text(session, keys, config, row, sent) if batch is None else ""
    except (CannotRender, NoRule) as error:
        return Sent(None, str(error))
    if batch is not None:
        return _batched(db, keys, config, outbox, sent, now)
    if sent.written_at is None:
        write_once(file_path(outbox, sent), text)
        with db.write() as session:
            session.get_one(Transmission, key).written_at = now
    return Sent(sent.interchange)


def _batched(db: Database, keys: Keyring, config: ConfigCache, outbox: Path, sent: Transmission, now: datetime) -> Sent:
    """Wait while the batch is open; then close it and write its file, whoever of its claims comes first."""
    with db.write() as session:
        batch = batches.batch_of(session, sent)
        assert batch is not None
        if batch.written_at is not None:
            left_out = session.get_one(Transmission, key_of(sent)).written_at is None
            return Sent(None, LEFT_OUT) if left_out else Sent(sent.interchange)
        if now < batch.closes_at and batch.closed_at is None:
            return Sent(sent.interchange, waits_until=batch.closes_at)
        batches.close(session, batch, now)
        numbered = []
        for one in batches.members(session, batch):
            row = session.get_one(ClaimVersion, key_of(one))
            numbered.append((row, one, numbers_of(session, keys, row, one)))
        try:
            text, inside = batches.text_of(session, keys, config, numbered)
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


def key_of(sent: Transmission) -> Key:
    return sent.encounter_id, sent.letter, sent.ordinal, sent.version


def _number(session: Session, keys: Keyring, config: ConfigCache, row: ClaimVersion, now: datetime) -> Transmission:
    """Take the next number for the version. A file that cannot be made or does not pass takes none: it rolls back."""
    payer, mode = payer_of(row, config.site()), mode_of(row, config.site())
    marks = marks_of(session, keys, config.rules(), config.site(), row)
    named = payer_named(session, keys, row)
    if row.frequency != ORIGINAL and named is None:
        raise CannotRender(UNKNOWN_NUMBER)
    minutes = config.site().batch_minutes
    place = batches.take_place(session, mode, payer.receiver_id, payer.key, row.form, minutes, now)
    sent = Transmission(
        encounter_id=row.encounter_id,
        letter=row.letter,
        ordinal=row.ordinal,
        version=row.version,
        control_number=row.control_number or "",
        mode=mode,
        receiver_id=payer.receiver_id,
        interchange=place.interchange,
        set_number=place.place,
        payer=payer.key,
        replaces_event=named.event if named else None,
        insured_mark=marks.insured if marks else None,
        parties_mark=marks.parties if marks else None,
        created_at=now,
    )
    findings = validate(_text(session, keys, config, row, sent))
    if findings:
        raise CannotRender("the file does not pass: " + "; ".join(findings[:5]))
    session.add(sent)
    row.state = State.TRANSMITTED.value
    row.standing = {**row.standing, "state": row.state}
    session.add(row)
    session.flush()
    return sent


def _text(session: Session, keys: Keyring, config: ConfigCache, row: ClaimVersion, sent: Transmission) -> str:
    numbers = numbers_of(session, keys, row, sent)
    return file_of(session, keys, config.rules(), config.site(), row, numbers, sent.mode)


def numbers_of(session: Session, keys: Keyring, row: ClaimVersion, sent: Transmission) -> Numbers:
    """The numbers a version was sent with."""
    heard = replies_of(session, keys, row.encounter_id) if sent.replaces_event else ()
    named = payer_number([reply for reply in heard if reply.event == sent.replaces_event])
    return Numbers(sent.interchange, sent.created_at, named, sent.set_number)


def refers_to(session: Session, keys: Keyring, row: ClaimVersion) -> str | None:
    """The payer's number that the file of a replacement or void names, or would name now; None where there is none."""
    sent = session.get(Transmission, (row.encounter_id, row.letter, row.ordinal, row.version))
    if sent is not None:
        return numbers_of(session, keys, row, sent).replaces
    named = payer_named(session, keys, row)
    return named.payer_number if named else None


def payer_named(session: Session, keys: Keyring, row: ClaimVersion) -> PayerResponse | None:
    """The newest reply that names the payer's own number of the version the payer has, which this one replaces or voids.

    Another version's number would do harm: a rejected one has none that lives, and a claim is replaced as it was last taken in.
    So would that of a further payer, which answers under our number, too.
    """
    if row.frequency == ORIGINAL:
        return None
    versions = versions_of(session, row.encounter_id, row.letter, row.ordinal)
    at_payer = version_at_payer([one for one in versions if one.version < row.version])
    if at_payer is None:
        return None
    heard = replies_of(session, keys, row.encounter_id)
    mine = of_first([reply for reply in heard if reply.control == at_payer.control_number])
    return next((reply for reply in reversed(mine) if reply.payer_number), None)


def replies_of(session: Session, keys: Keyring, encounter: str) -> Sequence[PayerResponse]:
    """Every reply to the claims of an encounter, corrections applied."""
    own, _ = load_facts_in(session, keys, encounter, None)
    return replies(fold(own))
