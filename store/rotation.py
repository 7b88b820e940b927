"""Key rotation: a new key is staged, made the newest, and everything sealed with older ones is sealed again.

Older keys stay in the file: Temporal's histories and backups are sealed with them. Staging comes first, so that every
process can open what another seals with the new key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, func
from sqlmodel import Session, SQLModel, select

from store.engine import Database
from store.keys import KEY_ID_BYTES, Keyring, fresh_key, key_id, read_keyring
from store.seals import BY_NAME, replaced
from store.tables import (
    AlertRecord,
    Alias,
    EmergencyAccess,
    FhirResource,
    Inbox,
    InboxConflict,
    Patient,
    Quarantine,
    RecoveredClaim,
    Staff,
    sealed_for,
)

BATCH = 200


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column that holds ciphertext, and the row name it is sealed for."""

    table: type[SQLModel]
    column: str
    row: Callable[[Any], str]

    @property
    def name(self) -> str:
        return f"{self.table.__tablename__}.{self.column}"


SEALED = (
    Sealed(Inbox, "body", lambda row: str(row.event_id)),
    Sealed(InboxConflict, "body", lambda row: str(row.conflict_id)),
    Sealed(Quarantine, "body", lambda row: str(row.quarantine_id)),
    Sealed(Quarantine, "closed_note", lambda row: str(row.quarantine_id)),
    Sealed(Alias, "value", lambda row: str(row.alias_key)),
    Sealed(Patient, "identity", lambda row: str(row.patient_ref)),
    Sealed(FhirResource, "body", lambda row: str(row.resource_key)),
    Sealed(Staff, "value", lambda row: str(row.pseudonym)),
    Sealed(AlertRecord, "acknowledged_note", lambda row: str(row.alert_id)),
    Sealed(EmergencyAccess, "reason", lambda row: str(row.access_id)),
    Sealed(RecoveredClaim, "body", lambda row: str(row.recovered_id)),
)
"""Every sealed column of the store; a test compares it with the tables."""


def stage_key(path: Path) -> Keyring:
    """Add a new key after the others: nothing is sealed with it yet, and every process that restarts can open with it.

    Raises:
        KeyFileError: the file is damaged.
    """
    return _rewritten(path, lambda keys: [*keys, fresh_key()])


def activate_key(path: Path) -> Keyring:
    """Make the key staged last the one that seals. Do it when every process has started again since staging.

    Raises:
        KeyFileError: the file is damaged.
    """
    return _rewritten(path, lambda keys: [keys[-1], *keys[:-1]])


def _rewritten(path: Path, change: Callable[[list[str]], list[str]]) -> Keyring:
    read_keyring(path)
    body = json.loads(path.read_text())
    body["data_keys"] = change(body["data_keys"])
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    read_keyring(draft)
    draft.replace(path)
    return read_keyring(path)


def reseal(db: Database, keys: Keyring) -> dict[str, int]:
    """Seal again with the newest key whatever an older one sealed; returns the count of each column.

    Runs in small transactions beside everything else, and may be stopped and started again at any point.
    """
    return {sealed.name: _reseal_column(db, keys, sealed) for sealed in SEALED}


def keys_in_use(session: Session) -> set[str]:
    """The ids (hex) of every key that a sealed value of the store names. Reads every sealed column."""
    found: set[str] = set()
    for sealed in SEALED:
        column = getattr(sealed.table, sealed.column)
        name = func.substr(column, 1, KEY_ID_BYTES, type_=LargeBinary)
        found |= {bytes(one).hex() for one in session.exec(select(name).where(column.is_not(None)).distinct()) if one}
    return found


def _reseal_column(db: Database, keys: Keyring, sealed: Sealed) -> int:
    done = 0
    while count := _reseal_batch(db, keys, sealed):
        done += count
    return done


def _reseal_batch(db: Database, keys: Keyring, sealed: Sealed) -> int:
    with db.write() as session:
        rows = _of_older_keys(session, keys, sealed)
        if sealed.table is Inbox:
            replaced(session, keys, BY_NAME["contents"], rows, "key rotation", "(key rotation)")
        for row in rows:
            purpose = sealed_for(sealed.name, sealed.row(row))
            plain = keys.open(getattr(row, sealed.column), purpose)
            setattr(row, sealed.column, keys.seal(plain, purpose))
            session.add(row)
        return len(rows)


def _of_older_keys(session: Session, keys: Keyring, sealed: Sealed) -> list[Any]:
    """A batch of rows that the newest key did not seal; locked, so that a concurrent writer is not overwritten."""
    column = getattr(sealed.table, sealed.column)
    newest = key_id(keys.data_keys[0])
    older = func.substr(column, 1, len(newest), type_=LargeBinary) != newest
    return list(session.exec(select(sealed.table).where(older).limit(BATCH).with_for_update()))
