"""Signed webhooks (Standard Webhooks 1.0): HMAC-SHA256 over ID, time and body, valid once within five minutes.

A sender signs each retry again with the current time; a copy of an earlier request is refused.
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
    """A sender that signs, with one secret, or two during a change of secrets."""

    secrets: tuple[bytes, ...]

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Returns True if one signature of the header is from this sender."""
        message = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        expected = [signature(secret, *message, body) for secret in self.secrets]
        given = headers.get(SIGNATURE, "").split()
        return any(hmac.compare_digest(one.encode(), good.encode()) for one in given for good in expected)


def is_fresh(headers: Mapping[str, str], now: datetime) -> bool:
    """Returns True if signed within five minutes before or after now."""
    timestamp = headers.get(TIMESTAMP, "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def first_time(session: Session, keys: Keyring, sender: str, headers: Mapping[str, str], now: datetime) -> bool:
    """Stores the key of a message; returns False if it was stored before. Expired keys are deleted."""
    key = keys.digest("webhook", sender, headers.get(ID, ""), headers.get(TIMESTAMP, ""))
    return replay_guard.first_time(session, key, now, now - 2 * TOLERANCE)
