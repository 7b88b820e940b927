"""Signed webhooks (Standard Webhooks 1.0): HMAC-SHA256 over id, time and body, good for five minutes and once.

A sender that tries again signs anew with the time of the new try; only a copy of an old request is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Session, col

from activities.store.keys import Keyring
from activities.store.tables import WebhookSeen

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = timedelta(minutes=5)
SECRET_PREFIX = "whsec_"  # noqa: S105 the public prefix of the format, not a secret
SMALLEST_SECRET = 24
VERSION = "v1,"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A sender that signs."""

    secret: bytes

    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        """The signature of a message, as it stands in the header."""
        signed = hmac.new(self.secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        return VERSION + base64.b64encode(signed).decode()

    def signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """True when one of the signatures of the header is this sender's."""
        expected = self.signature(headers.get(ID, ""), headers.get(TIMESTAMP, ""), body)
        given = headers.get(SIGNATURE, "").split()
        return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)


def is_fresh(headers: Mapping[str, str], now: datetime) -> bool:
    """Signed within five minutes of now, either way: clocks differ."""
    timestamp = headers.get(TIMESTAMP, "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


def first_time(session: Session, keys: Keyring, sender: str, headers: Mapping[str, str], now: datetime) -> bool:
    """Note a message; False when the very same one was noted before. Entries past their time are forgotten."""
    key = keys.digest("webhook", sender, headers.get(ID, ""), headers.get(TIMESTAMP, ""))
    session.execute(delete(WebhookSeen).where(col(WebhookSeen.at) < now - 2 * TOLERANCE))
    if session.get(WebhookSeen, key) is not None:
        return False
    session.add(WebhookSeen(message_key=key, at=now))
    return True


def read_secret(text: str) -> bytes:
    """The secret of a file: base64, with or without `whsec_`.

    Raises:
        ValueError: not base64, or too short to be a secret.
    """
    try:
        secret = base64.b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(secret) < SMALLEST_SECRET:
        raise ValueError(f"shorter than {SMALLEST_SECRET} bytes; make a new one")
    return secret
