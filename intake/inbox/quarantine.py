"""Message quarantine: keeps unmatched and invalid messages encrypted, and tries them again, also by a replay."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from domain.billing.submission.responses import RESPONSES
from domain.events import CATALOGUE, InvalidEvent, parse
from intake.inbox import matching, retention
from intake.inbox.placement import Arrival, NotAllowed, Placed, attach
from store import identifiers
from store.keys import Keyring
from store.opaque import new_id
from store.originals import open_body
from store.recovered import adopted_count
from store.tables import CONTROL_COUNTER, Counter, Inbox, Quarantine, QuarantineKey, sealed_for
from store.vault import audit


class UnknownEntry(LookupError):
    """No quarantine entry has this id."""


class NeverApplied(ValueError):
    """The entry is a second body of an event: kept, and never applied."""


WAITING = "waiting"
RELEASED = "released"
INVALID = "invalid"
CONFLICT = "conflict"
UNMAPPED = "unmapped"
ASIDE = "aside"
CLOSED = "closed"
PENDING = (WAITING, ASIDE)
"""States of entries that are released without a replay."""
NO_TYPE, UNKNOWN_TYPE = "(none)", "(unknown)"
"""Shown for an event without a type, or with one outside the catalog."""


def keep(
    session: Session,
    keys: Keyring,
    arrival: Arrival,
    reason: str,
    state: str = WAITING,
    until: datetime | None = None,
) -> Quarantine:
    """Keep a checked event without a match, with every key that may match it.

    A second body waits itself when the first one is no longer kept.

    Args:
        until: when a retained event is deleted.
    """
    row = _row(session, arrival.dedupe_key(keys), arrival.body_hash)
    if row is not None and not (row.state == CONFLICT and state in PENDING):
        return row
    if row is None:
        row = _new_row(
            keys, arrival.body, [reason], state, arrival.received_at, arrival.feed, arrival.hint, arrival.allowed
        )
    else:
        row.state, row.reasons, row.received_at, row.feed = state, [reason], arrival.received_at, arrival.feed
        row.body = _sealed(keys, row.quarantine_id, arrival.body, arrival.hint, arrival.allowed)
    row.dedupe_key, row.body_hash = arrival.dedupe_key(keys), arrival.body_hash
    row.type = arrival.envelope.type
    row.subject_key = identifiers.alias_key(keys, arrival.envelope.subject)
    row.event_id = arrival.event_id if state in PENDING else None
    session.add(row)
    session.flush()
    if state in PENDING:
        found_by = matching.waiting_keys(keys, arrival.envelope, arrival.data, arrival.hint)
        retention.note(session, row, found_by, until)
    return row


def keep_invalid(
    session: Session,
    keys: Keyring,
    body: Mapping[str, Any],
    body_hash: str,
    reasons: tuple[str, ...],
    received_at: datetime,
    feed: str,
) -> Quarantine:
    """Keep an event that does not fit the catalog; a duplicate is kept once."""
    dedupe_key = identifiers.event_key(keys, *(json.dumps(body.get(name)) for name in ("source", "id")))
    row = _row(session, dedupe_key, body_hash)
    if row is not None:
        return row
    row = _new_row(keys, body, list(reasons), INVALID, received_at, feed)
    row.dedupe_key, row.body_hash = dedupe_key, body_hash
    session.add(row)
    session.flush()
    return row


def keep_raw(
    session: Session,
    keys: Keyring,
    raw: str,
    kind: str,
    reason: str,
    received_at: datetime,
    feed: str,
    found_by: Collection[str] = (),
    until: datetime | None = None,
) -> Quarantine:
    """Keep a message that could not be translated, as received; a duplicate is kept once.

    Args:
        kind: format and trigger, for example `hl7v2:SIU^S12`.
        until: where given, the message is retained and deleted then; without it, it needs work.
        found_by: keys of `matching`; a retained message needs work when one becomes known.
    """
    key = keys.digest("raw", feed, raw)
    row = _row(session, key, key)
    if row is not None:
        if row.state == ASIDE and until is None:
            retention.require_work(session, row)
        return row
    quarantine_id = new_id("qua")
    kept: dict[str, Any] = {"event": {}, "hint": None, "allowed": None, "raw": raw}
    row = Quarantine(
        quarantine_id=quarantine_id,
        dedupe_key=key,
        body_hash=key,
        type=kind,
        feed=feed,
        subject_key="",
        reasons=[reason],
        received_at=received_at,
        body=keys.seal(json.dumps(kept).encode(), sealed_for("quarantine.body", quarantine_id)),
        state=ASIDE if until is not None else UNMAPPED,
    )
    session.add(row)
    session.flush()
    retention.note(session, row, found_by, until)
    return row


def _row(session: Session, dedupe_key: str, body_hash: str) -> Quarantine | None:
    query = select(Quarantine).where(Quarantine.dedupe_key == dedupe_key, Quarantine.body_hash == body_hash)
    return session.exec(query).first()


def _new_row(
    keys: Keyring,
    body: Mapping[str, Any],
    reasons: list[str],
    state: str,
    received_at: datetime,
    feed: str,
    hint: identifiers.Hint | None = None,
    allowed: frozenset[str] | None = None,
) -> Quarantine:
    quarantine_id = new_id("qua")
    return Quarantine(
        quarantine_id=quarantine_id,
        dedupe_key="",
        body_hash="",
        type=_type_of(body),
        feed=feed,
        subject_key="",
        reasons=reasons,
        received_at=received_at,
        body=_sealed(keys, quarantine_id, body, hint, allowed),
        state=state,
    )


def _sealed(
    keys: Keyring,
    quarantine_id: str,
    body: Mapping[str, Any],
    hint: identifiers.Hint | None,
    allowed: frozenset[str] | None,
) -> bytes:
    kept = {
        "event": dict(body),
        "hint": asdict(hint) if hint else None,
        "allowed": None if allowed is None else sorted(allowed),
    }
    return keys.seal(json.dumps(kept).encode(), sealed_for("quarantine.body", quarantine_id))


def _type_of(body: Mapping[str, Any]) -> str:
    stated = body.get("type")
    if not stated:
        return NO_TYPE
    return stated if isinstance(stated, str) and stated in CATALOGUE else UNKNOWN_TYPE


def original(session: Session, keys: Keyring, quarantine_id: str, actor: str, now: datetime) -> str:
    """The original as received: the message, or the event as JSON. It names the patient; reading it is in the audit.

    Raises:
        UnknownEntry: no entry has this id.
    """
    row = session.get(Quarantine, quarantine_id)
    audit(session, actor, "read_original", quarantine_id, "shown" if row else "refused", now)
    if row is None:
        raise UnknownEntry(quarantine_id)
    plain = json.loads(keys.open(row.body, sealed_for("quarantine.body", quarantine_id)))
    return str(plain.get("raw") or json.dumps(plain.get("event", {}), indent=1, sort_keys=True))


def release(session: Session, keys: Keyring, known: Iterable[str], now: datetime) -> int:
    """Attach every waiting event that the known keys match, then those that match by these, until none is left.

    Args:
        known: keys of `matching` (aliases, claims, events) that became known.

    Returns:
        How many were released.
    """
    pending, released = set(known), 0
    while pending:
        named = select(QuarantineKey.quarantine_id).where(col(QuarantineKey.match_key).in_(sorted(pending)))
        waiting = session.exec(
            select(Quarantine)
            .where(col(Quarantine.quarantine_id).in_(named), col(Quarantine.state).in_(PENDING))
            .order_by(col(Quarantine.received_at), Quarantine.quarantine_id)
        ).all()
        pending = set()
        for row in waiting:
            placed = _tried(session, keys, row, now)
            pending |= placed.known
            released += not placed.reason
    return released


def claim_numbers(session: Session) -> int:
    """A count that grows with the claims that have a control number. While it stays the same, no waiting response can match."""
    counted = session.exec(select(Counter.value).where(Counter.name == CONTROL_COUNTER)).first() or 0
    return counted + adopted_count(session)


def release_claims(session: Session, keys: Keyring, now: datetime) -> int:
    """Try payer responses that were received before their claim had its control number."""
    types = [model.event_type for model in RESPONSES]
    waiting = session.exec(select(Quarantine).where(Quarantine.state == WAITING, col(Quarantine.type).in_(types))).all()
    placed = [_tried(session, keys, row, now) for row in waiting]
    known = sorted({key for one in placed for key in one.known})
    return sum(1 for one in placed if not one.reason) + release(session, keys, known, now)


def _tried(session: Session, keys: Keyring, row: Quarantine, now: datetime) -> Placed:
    """`try_again`, where one bad entry must not undo the transaction of others.

    A message that could not be translated cannot be placed by itself: now that its patient is known, it needs work.
    """
    if row.state == ASIDE and not row.event_id:
        retention.require_work(session, row)
        return Placed(reason=row.reasons[0])
    try:
        return try_again(session, keys, row, now)
    except InvalidEvent as error:
        row.state, row.reasons = INVALID, [f"{problem.path}: {problem.message}" for problem in error.problems]
        row.expires_at = None
        session.add(row)
        return Placed(reason=row.reasons[0])


def try_again(session: Session, keys: Keyring, row: Quarantine, now: datetime) -> Placed:
    """Match a kept event again; on success it is released into its encounter.

    A retained event of a patient known by now waits from then on and is not deleted.

    Raises:
        InvalidEvent: it still does not fit the catalog.
        NeverApplied: an event of the same source and id has been applied since.
    """
    kept = open_body(keys, row)
    envelope, data = parse(kept.event)
    event_id = row.event_id or new_id("evt")
    arrival = Arrival(
        envelope, data, kept.event, row.body_hash, event_id, row.received_at, row.feed, kept.hint, kept.allowed
    )
    if session.exec(select(Inbox.event_id).where(Inbox.dedupe_key == arrival.dedupe_key(keys))).first():
        raise NeverApplied(row.quarantine_id)
    try:
        placed = attach(session, keys, arrival)
    except NotAllowed as error:
        placed = Placed(reason=str(error))
    if placed.reason:
        row.reasons = [placed.reason]
        if row.state == ASIDE and placed.reason != matching.NO_SUBJECT:
            row.state, row.expires_at = WAITING, None
    else:
        row.state, row.resolved_at, row.event_id, row.reasons, row.expires_at = RELEASED, now, event_id, [], None
    session.add(row)
    session.flush()
    return placed
