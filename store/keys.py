"""Keys: one file created at first start, readable by its owner alone; ciphers for vault and payloads, and keyed hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class KeyFileError(ValueError):
    """The key file is missing, incomplete or of another installation; the message states the next step."""


class SealBroken(ValueError):
    """Ciphertext that no key of the file opens: damaged, or from another installation."""


@dataclass(frozen=True)
class Keyring:
    """AES-256-GCM keys, newest first, and one HMAC key.

    Sealed bytes are key id (4) + nonce (12) + ciphertext with tag; the purpose is authenticated with them, so that a
    sealed value cannot be moved to another column.
    """

    data_keys: tuple[bytes, ...]
    hash_key: bytes

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt with the newest key."""
        key = self.data_keys[0]
        nonce = os.urandom(NONCE_BYTES)
        return key_id(key) + nonce + AESGCM(key).encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt with the key that the bytes name.

        Raises:
            SealBroken: no key of the file opens them for that purpose.
        """
        name, nonce, body = sealed[:4], sealed[4 : 4 + NONCE_BYTES], sealed[4 + NONCE_BYTES :]
        for key in self.data_keys:
            if key_id(key) == name:
                try:
                    return AESGCM(key).decrypt(nonce, body, purpose.encode())
                except InvalidTag:
                    break
        raise SealBroken(f"no key of the key file opens this {purpose}")

    def digest(self, *parts: str) -> str:
        """A keyed hash of identifiers: equal for equal input, meaningless without the key."""
        message = "\x1f".join(parts).encode()
        return hmac.new(self.hash_key, message, hashlib.sha256).hexdigest()[:40]

    def digest_of(self, name: str, pieces: Iterable[bytes]) -> str:
        """`digest` of a name and of bytes in pieces, each byte read as a character of Latin-1."""
        found = hmac.new(self.hash_key, f"{name}\x1f".encode(), hashlib.sha256)
        for piece in pieces:
            found.update(piece if piece.isascii() else piece.decode("latin-1").encode())
        return found.hexdigest()[:40]


def key_id(key: bytes) -> bytes:
    """The four bytes by which sealed values name their key."""
    return hashlib.sha256(b"cart-encounter key id" + key).digest()[:KEY_ID_BYTES]


def create_keyring(path: Path) -> Keyring:
    """Create a key file, mode 0600. Fails if it exists: keys are never overwritten."""
    body = {"data_keys": [fresh_key()], "hash_key": fresh_key()}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    return read_keyring(path)


def read_keyring(path: Path) -> Keyring:
    """Read a key file.

    Raises:
        KeyFileError: missing, not JSON, or keys of a wrong length.
    """
    try:
        body = json.loads(path.read_text())
        data_keys = tuple(base64.b64decode(key, validate=True) for key in body["data_keys"])
        hash_key = base64.b64decode(body["hash_key"], validate=True)
    except FileNotFoundError:
        raise KeyFileError("the key file is missing; restore it from its backup") from None
    except (ValueError, KeyError, TypeError):
        raise KeyFileError("the key file is damaged; restore it from its backup") from None
    if not data_keys or any(len(key) != 32 for key in (*data_keys, hash_key)):
        raise KeyFileError("the key file holds a key of a wrong length; restore it from its backup")
    return Keyring(data_keys, hash_key)


def fresh_key() -> str:
    """A new random key, as the key file holds it."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
