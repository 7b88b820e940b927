"""The inbox transaction: one event in, one receipt out, decided by the database alone.

Everything that follows from an event (its place, its aliases, the waiting events it releases) commits with it or not at
all. Transactions are serialized: by SQLite's write lock, on PostgreSQL by an advisory lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlmodel import Session, col, select

from domain.events import Envelope, InvalidEvent, Problem, parse, parse_data
from domain.events.governance import CorrectionMade
from intake import alerts
from intake.inbox import closing, matching, quarantine
from intake.inbox.placement import Arrival, NotAllowed, attach, check_sender
from store import identifiers, originals
from store.alerts import open_once, resolve
from store.engine import Database, serialize
from store.keys import Keyring
from store.opaque import new_id
from store.step_log import log_step
from store.tables import NOTICES, EncounterEvent, Inbox, InboxConflict, Quarantine, sealed_for
from store.vault import ERASED, audit


class Disposition(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class ReceiptResult:
    """The inbox's answer. `event_id` is opaque; `reasons` and `problems` never repeat a value of the event."""

    event_id: str | None
    encounter_id: str | None
    disposition: Disposition
    reasons: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    quarantine_id: str | None = None


def receive(
    db: Database,
    keys: Keyring,
    envelope_body: Mapping[str, Any],
    received_at: datetime,
    feed: str,
    hint: identifiers.Hint | None = None,
    allowed: frozenset[str] | None = None,
) -> ReceiptResult:
    """Receive one event, durably. A duplicate changes nothing; an event that cannot be used is kept in quarantine.

    Args:
        envelope_body: the CloudEvents JSON object.
        feed: the authenticated sender, for feed health.
        hint: the patient named by the message, where the format states that beside the event.
        allowed: the facilities the sender may write for; None means all of them.

    Raises:
        NotAllowed: the sender may not write there; nothing is stored.
    """
    return receive_all(db, keys, (envelope_body,), received_at, feed, hint, allowed)[0]


def receive_all(
    db: Database,
    keys: Keyring,
    bodies: Sequence[Mapping[str, Any]],
    received_at: datetime,
    feed: str,
    hint: identifiers.Hint | None = None,
    allowed: frozenset[str] | None = None,
    retain_for: timedelta | None = None,
    also: tuple[str, ...] = (),
) -> list[ReceiptResult]:
    """`receive` for the events of one message: all of them in one transaction, or none.

    Args:
        retain_for: how long an unmatched event is retained, where a feed carries the whole hospital; None where it needs
            work.
        also: other numbers under which later messages may name the appointment that is booked.

    Raises:
        NotAllowed: the sender may not write there; nothing is stored.
    """
    with db.write() as session:
        serialize(session)
        results = [
            receive_in(session, keys, body, received_at, feed, hint, allowed, retain_for, also) for body in bodies
        ]
    for result in results:
        if result.disposition is Disposition.DUPLICATE:
            log_step("event.duplicate", event_id=result.event_id, encounter=result.encounter_id, feed=feed)
    return results


@dataclass(frozen=True, slots=True)
class Reading:
    """A kept message read again: its events, the patient it names, the facilities of its sender.

    Attributes:
        merge: merges two record numbers in the transaction of the replay, for a message that requires it.
    """

    events: tuple[Mapping[str, Any], ...]
    hint: identifiers.Hint | None
    allowed: frozenset[str] | None
    merge: Callable[[Session, Keyring, datetime], object] | None = None
    also: tuple[str, ...] = ()


Reader = Callable[[str, str, str], Reading]
"""Translates a kept original (text, kind, feed) with the current mapping.

Returns at least one event or a merge; raises InvalidEvent where it still cannot.
"""


def replay(
    db: Database, keys: Keyring, quarantine_id: str, now: datetime, actor: str, reader: Reader | None = None
) -> ReceiptResult:
    """Replay a kept event; the replay is in the audit. A closed entry is reopened.

    Args:
        reader: for messages that could not be translated when received.

    Raises:
        UnknownEntry: no entry has this id.
        NeverApplied: the entry is a second body of an event, or its patient was erased.
    """
    with db.write() as session:
        serialize(session)
        row = session.get(Quarantine, quarantine_id)
        if row is None:
            raise quarantine.UnknownEntry(quarantine_id)
        state = row.closed_from if row.state == quarantine.CLOSED else row.state
        unread = state == quarantine.UNMAPPED or (state == quarantine.ASIDE and not row.event_id)
        if state in (quarantine.CONFLICT, ERASED) or (unread and reader is None):
            raise quarantine.NeverApplied(quarantine_id)
        closing.reopen(row)
        if unread and reader is not None:
            result = _read_again(session, keys, row, reader, now)
        else:
            result = _replayed(session, keys, row, now)
        audit(session, actor, "replay", quarantine_id, result.disposition.value, now)
        return result


def _read_again(session: Session, keys: Keyring, row: Quarantine, reader: Reader, now: datetime) -> ReceiptResult:
    try:
        reading = reader(originals.open_body(keys, row).raw or "", row.type, row.feed)
    except InvalidEvent as error:
        row.reasons = [problem.message for problem in error.problems]
        session.add(row)
        return ReceiptResult(None, None, Disposition.INVALID, tuple(row.reasons), error.problems, row.quarantine_id)
    if reading.merge is not None:
        reading.merge(session, keys, now)
        row.state, row.resolved_at, row.reasons, row.expires_at = quarantine.RELEASED, now, [], None
        session.add(row)
        return ReceiptResult(None, None, Disposition.ACCEPTED, quarantine_id=row.quarantine_id)
    try:
        with session.begin_nested():
            results = _received_again(session, keys, row, reading)
    except NotAllowed as error:
        row.reasons = [str(error)]
        session.add(row)
        problem = Problem(path="(message)", message=str(error))
        return ReceiptResult(None, None, Disposition.INVALID, (str(error),), (problem,), row.quarantine_id)
    result = next((one for one in results if one.disposition is Disposition.INVALID), results[0])
    if result.disposition is not Disposition.INVALID:
        row.state, row.resolved_at, row.event_id, row.reasons = quarantine.RELEASED, now, result.event_id, []
        row.expires_at = None
        resolve(session, alerts.reply_file_refused(row.quarantine_id).key, now)
    session.add(row)
    return result


def _received_again(session: Session, keys: Keyring, row: Quarantine, reading: Reading) -> list[ReceiptResult]:
    return [
        receive_in(
            session,
            keys,
            event,
            row.received_at,
            row.feed,
            hint=reading.hint,
            allowed=reading.allowed,
            also=reading.also,
        )
        for event in reading.events
    ]


def _replayed(session: Session, keys: Keyring, row: Quarantine, now: datetime) -> ReceiptResult:
    if row.state == quarantine.RELEASED:
        encounter = _encounter_of(session, row.event_id) if row.event_id else None
        return ReceiptResult(row.event_id, encounter, Disposition.DUPLICATE, quarantine_id=row.quarantine_id)
    try:
        placed = quarantine.try_again(session, keys, row, now)
    except InvalidEvent as error:
        reasons = tuple(f"{problem.path}: {problem.message}" for problem in error.problems)
        return ReceiptResult(None, None, Disposition.INVALID, reasons, error.problems, row.quarantine_id)
    if placed.reason:
        return ReceiptResult(row.event_id, None, Disposition.QUARANTINED, (placed.reason,), (), row.quarantine_id)
    quarantine.release(session, keys, placed.known, now)
    return ReceiptResult(row.event_id, placed.encounter_id, Disposition.ACCEPTED, quarantine_id=row.quarantine_id)


def receive_in(
    session: Session,
    keys: Keyring,
    body: Mapping[str, Any],
    received_at: datetime,
    feed: str,
    hint: identifiers.Hint | None = None,
    allowed: frozenset[str] | None = None,
    retain_for: timedelta | None = None,
    also: tuple[str, ...] = (),
) -> ReceiptResult:
    """`receive` inside a transaction that is already serialized; `retain_for` and `also` as in `receive_all`."""
    try:
        envelope, data = parse(body)
        _check_correction(session, keys, data)
    except InvalidEvent as error:
        return _keep_invalid(session, keys, body, error, received_at, feed)
    arrival = Arrival(
        envelope, data, body, body_hash(keys, body), new_id("evt"), received_at, feed, hint, allowed, also
    )
    seen = _seen_before(session, keys, arrival)
    if seen is not None:
        return seen
    placed = attach(session, keys, arrival)
    if placed.reason:
        retained = retain_for if placed.reason == matching.NO_SUBJECT else None
        state, until = (quarantine.ASIDE, received_at + retained) if retained else (quarantine.WAITING, None)
        kept = quarantine.keep(session, keys, arrival, placed.reason, state, until)
        return ReceiptResult(
            arrival.event_id, None, Disposition.QUARANTINED, (placed.reason,), quarantine_id=kept.quarantine_id
        )
    quarantine.release(session, keys, placed.known, received_at)
    return ReceiptResult(arrival.event_id, placed.encounter_id, Disposition.ACCEPTED)


def body_hash(keys: Keyring, body: Mapping[str, Any]) -> str:
    """HMAC of the canonical body: the known attributes of the envelope, keys sorted.

    The content type is left out: the binary mode of HTTP always states it, the structured mode seldom does.
    """
    known = {name: body[name] for name in Envelope.model_fields if name in body and name != "datacontenttype"}
    return keys.digest("body", json.dumps(known, sort_keys=True, separators=(",", ":")))


def _seen_before(session: Session, keys: Keyring, arrival: Arrival) -> ReceiptResult | None:
    first = session.exec(select(Inbox).where(Inbox.dedupe_key == arrival.dedupe_key(keys))).first()
    if first is not None:
        encounter = _encounter_of(session, first.event_id)
        check_sender(session, arrival, encounter)
        if first.body_hash == arrival.body_hash:
            return ReceiptResult(first.event_id, encounter, Disposition.DUPLICATE)
        return _conflict(session, keys, arrival, first, encounter)
    waiting = session.exec(
        select(Quarantine).where(
            Quarantine.dedupe_key == arrival.dedupe_key(keys), col(Quarantine.state).in_(quarantine.PENDING)
        )
    ).first()
    if waiting is not None:
        return _seen_waiting(session, keys, arrival, waiting)
    closed = closing.closed_one(session, arrival.dedupe_key(keys), arrival.body_hash)
    if closed is None:
        return None
    return ReceiptResult(None, None, Disposition.DUPLICATE, (closing.REASON,), quarantine_id=closed.quarantine_id)


def _encounter_of(session: Session, event_id: str) -> str | None:
    """The encounter of an event; None for a holder event, which may be in many."""
    found = session.exec(
        select(EncounterEvent.encounter_id)
        .where(EncounterEvent.event_id == event_id, col(EncounterEvent.type).not_in(NOTICES))
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def _seen_waiting(session: Session, keys: Keyring, arrival: Arrival, waiting: Quarantine) -> ReceiptResult:
    """The first body still waits: the same body is a duplicate, another one a conflict, not applied while the first waits.

    Two bodies of a retained event need no work.
    """
    if waiting.body_hash == arrival.body_hash:
        reasons = ("waiting in quarantine", *waiting.reasons)
        return ReceiptResult(
            waiting.event_id, None, Disposition.DUPLICATE, reasons, quarantine_id=waiting.quarantine_id
        )
    reason = "event ID reused with different content while the first event waits in quarantine"
    kept = quarantine.keep(session, keys, arrival, reason, quarantine.CONFLICT)
    if waiting.state != quarantine.ASIDE:
        open_once(session, None, alerts.event_conflict(str(waiting.event_id)), arrival.received_at)
    return ReceiptResult(waiting.event_id, None, Disposition.CONFLICT, (reason,), quarantine_id=kept.quarantine_id)


def _conflict(session: Session, keys: Keyring, arrival: Arrival, first: Inbox, encounter: str | None) -> ReceiptResult:
    known = select(InboxConflict).where(
        InboxConflict.event_id == first.event_id, InboxConflict.body_hash == arrival.body_hash
    )
    if session.exec(known).first() is None:
        conflict_id = new_id("con")
        sealed = keys.seal(json.dumps(arrival.body).encode(), sealed_for("inbox_conflicts.body", conflict_id))
        session.add(
            InboxConflict(
                conflict_id=conflict_id,
                event_id=first.event_id,
                body_hash=arrival.body_hash,
                received_at=arrival.received_at,
                body=sealed,
            )
        )
        open_once(session, encounter, alerts.event_conflict(first.event_id), arrival.received_at)
    reason = "event ID reused with different content; the first content applies, this one is kept"
    return ReceiptResult(first.event_id, encounter, Disposition.CONFLICT, (reason,))


def _check_correction(session: Session, keys: Keyring, data: object) -> None:
    """Refuse a replacement that does not fit the type of the event it replaces, where that event was received."""
    if not isinstance(data, CorrectionMade) or data.replacement is None:
        return
    key = identifiers.event_key(keys, data.of.source, data.of.id)
    corrected = session.exec(select(Inbox.type).where(Inbox.dedupe_key == key)).first()
    if corrected is None:
        return
    try:
        parse_data(corrected, data.replacement)
    except InvalidEvent as error:
        raise InvalidEvent(tuple(_in_replacement(problem) for problem in error.problems)) from None


def _in_replacement(problem: Problem) -> Problem:
    return Problem(path=problem.path.replace("data", "data.replacement", 1), message=problem.message)


def _keep_invalid(
    session: Session, keys: Keyring, body: Mapping[str, Any], error: InvalidEvent, received_at: datetime, feed: str
) -> ReceiptResult:
    reasons = tuple(f"{problem.path}: {problem.message}" for problem in error.problems)
    kept = quarantine.keep_invalid(session, keys, body, body_hash(keys, body), reasons, received_at, feed)
    return ReceiptResult(None, None, Disposition.INVALID, reasons, error.problems, kept.quarantine_id)
