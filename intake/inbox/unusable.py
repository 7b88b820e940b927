"""Messages that cannot be used, or are unrelated to CAR-T: kept for work, retained, or ignored.

A message with a known identifier is never ignored, nor is one with an identifier of a retained message: that one may be
matched to a patient later, and then all of them are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, func, select

from intake.inbox import matching, quarantine, retention
from intake.site_mapping import REORDERED, Traces
from store.keys import Keyring
from store.tables import Quarantine

UNKNOWN_SENDER = "(unknown sender)"
MOST_OF_UNKNOWN = 200
"""Limit of entries from senders without a feed: they cannot fill the store."""


class Became(StrEnum):
    """The disposition of such a message."""

    WORK = "work"
    ASIDE = "aside"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Original:
    """A message as received, the reason why it cannot be used, and `format:trigger` as its kind."""

    raw: str
    kind: str
    reason: str
    feed: str


def keep_or_pass(session: Session, keys: Keyring, original: Original, traces: Traces | None, now: datetime) -> Became:
    """Keep or ignore a message, in a transaction that is already serialized.

    Args:
        traces: identifiers that may match the message to a known patient; None where it needs work in any case.
    """
    if traces is None or matching.knows(session, keys, traces.numbers, traces.record, traces.records):
        _keep(session, keys, original, now)
        return Became.WORK
    found_by = matching.keys_of(keys, traces.numbers, traces.record, traces.records)
    if not found_by or (traces.keep is None and not retention.waits(session, found_by)):
        return Became.PASSED
    kept = (session, keys, original.raw, original.kind, original.reason, now, original.feed)
    quarantine.keep_raw(*kept, found_by, now + (traces.keep or REORDERED))
    return Became.ASIDE


def concerns_us(session: Session, keys: Keyring, traces: Traces) -> bool:
    """True when an identifier of a message is known, or a message with it is retained. Takes no write lock: most are ignored."""
    found_by = matching.keys_of(keys, traces.numbers, traces.record, traces.records)
    if not found_by:
        return False
    known = matching.knows(session, keys, traces.numbers, traces.record, traces.records)
    return known or retention.waits(session, found_by)


def keep_refused(
    session: Session,
    keys: Keyring,
    original: Original,
    now: datetime,
    until: datetime | None,
    found_by: Collection[str] = (),
) -> bool:
    """Keep a message that was refused; returns False where the limit for senders without a feed is reached.

    Args:
        until: when it is deleted; None where it needs work.
        found_by: keys of `matching`; when one becomes known, the message needs work.
    """
    if original.feed == UNKNOWN_SENDER:
        held = select(func.count()).select_from(Quarantine).where(Quarantine.feed == UNKNOWN_SENDER)
        if session.exec(held.where(col(Quarantine.resolved_at).is_(None))).one() >= MOST_OF_UNKNOWN:
            return False
    kept = (session, keys, original.raw, original.kind, original.reason, now, original.feed)
    quarantine.keep_raw(*kept, found_by, until)
    return True


def _keep(session: Session, keys: Keyring, original: Original, now: datetime) -> None:
    quarantine.keep_raw(session, keys, original.raw, original.kind, original.reason, now, original.feed)
