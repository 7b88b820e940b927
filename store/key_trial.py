"""Whether a key file is the one that this database was written with."""

from __future__ import annotations

from sqlmodel import select

from store.engine import Database, DatabaseError
from store.keys import Keyring, SealBroken
from store.tables import Inbox, sealed_for


def keys_open_data(db: Database, keys: Keyring) -> bool:
    """True when the keys open a stored event; also while there is none. False while the database does not answer."""
    try:
        with db.read() as session:
            row = session.exec(select(Inbox).limit(1)).first()
    except DatabaseError:
        return False
    if row is None:
        return True
    try:
        keys.open(row.body, sealed_for("inbox.body", row.event_id))
    except SealBroken:
        return False
    return True
