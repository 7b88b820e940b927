"""Signed webhooks (Standard Webhooks 1.0): HMAC-SHA256 over id, time and body, good for five minutes and once.

A sender that tries again signs anew with the time of the new try; only a copy of an old request is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.alerting.signing import ID, SIGNATURE, TIMESTAMP, signature
from store import replay_guard
from store.engine import Session
from store.keys import Keyring

__all__ = ["ID", "SIGNATURE", "TIMESTAMP", "TOLERANCE", "Webhook", "first_time", "is_fresh"]

TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A sender that signs: with one secret, or with either of two while it changes from one to the next."""

    secrets: tuple[bytes, ...]

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """True when one of the signatures of the header is this sender's."""
        message = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        expected = [signature(secret, *message, body) for secret in self.secrets]
        given = headers.get(SIGNATURE, "").split()
        return any(hmac.compare_digest(one.encode(), good.encode()) for one in given for good in expected)


def is_fresh(headers: Mapping[str, str], now: datetime) -> bool:
    """Signed within five minutes of now, either way: clocks differ."""
    timestamp = headers.get(TIMESTAMP, "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def first_time(session: Session, keys: Keyring, sender: str, headers: Mapping[str, str], now: datetime) -> bool:
    """Note a message; False when the very same one was noted before. Entries past their time are forgotten."""
    key = keys.digest("webhook", sender, headers.get(ID, ""), headers.get(TIMESTAMP, ""))
    return replay_guard.first_time(session, key, now, now - 2 * TOLERANCE)
