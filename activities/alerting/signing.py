"""Signing messages (Standard Webhooks 1.0): HMAC-SHA256 over id, time and body, for what comes in and what goes out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 the public prefix of the format, not a secret
SMALLEST_SECRET = 24
VERSION = "v1,"


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a message, for the header."""
    signed = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return VERSION + base64.b64encode(signed).decode()


def read_secret(text: str) -> bytes:
    """Return the secret of a file: base64, with or without `whsec_`.

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
