"""A message that cannot be used, or that is not about CAR-T: a person's work, set aside, or let pass.

What names something that is known here is never let pass, and neither is what names something that is set aside here: that
may turn out to be a patient's, and then all of it is.
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
"""Of senders that no feed stands for: one that is not ours cannot fill the store."""


class Became(StrEnum):
    """What became of such a message."""

    WORK = "work"
    ASIDE = "aside"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Original:
    """A message as it came, what is wrong with it, and `format:trigger` as its kind."""

    raw: str
    kind: str
    reason: str
    feed: str


def keep_or_pass(session: Session, keys: Keyring, original: Original, traces: Traces | None, now: datetime) -> Became:
    """Keep a message in a transaction that is already serialized, or let it pass.

    Args:
        traces: by what it may be found to be about a patient of ours; None where it is a person's work for sure.
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
    """True when what a message names is known or set aside here. Takes no write lock: most messages of a hospital pass."""
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
    """Keep a message that was refused; returns whether there was room, which a sender that no feed stands for may lack.

    Args:
        until: when it goes by itself; None where it is a person's work.
        found_by: what makes it a person's work before that, once it is known.
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
