"""Opaque ids: random, so that they reveal nothing about a patient, a sender or a moment."""

from __future__ import annotations

import base64
import secrets

RANDOM_BYTES = 13
LENGTH = 20


def new_id(prefix: str) -> str:
    """A fresh id such as `enc_k3v…`: the prefix and twenty characters of base32 (100 random bits)."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()[:LENGTH]}"
