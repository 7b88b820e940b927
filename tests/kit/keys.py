"""The keys that recorded histories are sealed with. They protect nothing: the patients in them are made up."""

from __future__ import annotations

from store.keys import Keyring

RECORDING_KEYS = Keyring((bytes(range(32)),), bytes(range(32, 64)))
