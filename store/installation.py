"""The installation: one row with its epoch and the check of its keys.

The epoch leads every number: control numbers are `CE` and ten digits, the first two of them the epoch; of the nine digits of
an interchange the first two. A restore raises it, so that no number of before is taken again. Epoch 0 has the numbers of
the releases without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import inspect
from sqlmodel import Session, col, select

from store.engine import Database, insert_once
from store.identifiers import ORDER, alias_key
from store.keys import KeyFileError, Keyring, SealBroken, key_id
from store.opaque import new_id
from store.rotation import keys_in_use
from store.tables import CONTROL_COUNTER, Alias, Counter, Inbox, Installation, Patient, sealed_for

CONTROL_SIZE, INTERCHANGE_SIZE = 10**8, 10**7
"""Numbers of one epoch: control numbers, and interchanges of each receiver and mode."""
LAST_EPOCH = 99
SEQUENCE_SIZE = 10**6
"""The first event of an encounter after a restore has at least this sequence times the epoch: over any noted before."""
_INTERCHANGE = "interchange "


class NumbersExhausted(RuntimeError):
    """An epoch has no number left, or there is no epoch left. Nothing is sent under a number that wraps."""


class SchemaOlder(RuntimeError):
    """The database has not been migrated to this release."""


class ForeignKeys(KeyFileError):
    """The key file is not that of the database."""


def size_of(counter: str) -> int:
    """How many numbers an epoch of the counter has."""
    return CONTROL_SIZE if counter == CONTROL_COUNTER else INTERCHANGE_SIZE


def epoch_of(session: Session) -> int:
    """The epoch; 0 before the first start with a release that has one."""
    return session.exec(select(Installation.epoch)).first() or 0


def installation(session: Session) -> Installation | None:
    """The row of the installation, as the database has it now."""
    return session.exec(select(Installation).execution_options(populate_existing=True)).first()


def ensure(session: Session, now: datetime) -> Installation:
    """The row of the installation, made at the first start."""
    found = installation(session)
    if found is None:
        insert_once(
            session, Installation, row=1, installation_id=new_id("ins"), epoch=0, data_key_ids=[], created_at=now
        )
        found = session.exec(select(Installation)).one()
    return found


def first_sequence(session: Session, following: int) -> int:
    """The sequence of an encounter's next event: after a restore higher than any that a workflow may have noted before."""
    return max(following, epoch_of(session) * SEQUENCE_SIZE + 1)


def raise_epoch(session: Session, above: int, receivers: Iterable[tuple[str, str]], now: datetime) -> int:
    """Begin a new epoch: every counter goes up to its first number, never down; returns it.

    Args:
        above: the highest epoch that is known of anywhere outside of the database.
        receivers: mode and receiver of counters that the database may not have.

    Raises:
        NumbersExhausted: there is no epoch left.
    """
    row = ensure(session, now)
    session.refresh(row, with_for_update=True)
    epoch = max(row.epoch, above) + 1
    if epoch > LAST_EPOCH:
        raise NumbersExhausted(f"epoch {LAST_EPOCH} is the last: control numbers have no digit for another one")
    row.epoch, row.epoch_raised_at = epoch, now
    session.add(row)
    for name in (CONTROL_COUNTER, *sorted(f"{_INTERCHANGE}{mode} {receiver}" for mode, receiver in receivers)):
        insert_once(session, Counter, name=name, value=0)
    for counter in session.exec(select(Counter).with_for_update()):
        counter.value = max(counter.value, epoch * size_of(counter.name))
        session.add(counter)
    session.flush()
    return epoch


def interchanges_taken(session: Session) -> dict[tuple[str, str], int]:
    """The last interchange number taken for each mode and receiver."""
    rows = session.exec(select(Counter.name, Counter.value).where(col(Counter.name).startswith(_INTERCHANGE)))
    found = {}
    for name, value in rows:
        mode, _, receiver = name.removeprefix(_INTERCHANGE).partition(" ")
        found[mode, receiver] = value
    return found


def controls_taken(session: Session) -> int:
    """The last control number taken."""
    return session.exec(select(Counter.value).where(Counter.name == CONTROL_COUNTER)).first() or 0


def _check_of(keys: Keyring) -> str:
    return keys.digest("key check", "the key file of this database")


def _ids(keys: Keyring) -> list[str]:
    return [key_id(key).hex() for key in keys.data_keys]


def check_keys(db: Database, keys: Keyring, now: datetime) -> None:
    """Compare a key file with the database; at the first start, and of an earlier release's database, record it once proved.

    Raises:
        ForeignKeys: the file is another installation's, or lacks a key that values are sealed with.
        SchemaOlder: the database was not migrated yet.
        DatabaseError: the database cannot be read.
    """
    with db.read() as session:
        tables = inspect(session.connection())
        if not tables.has_table("inbox"):
            return  # no schema yet: nothing is sealed
        if not tables.has_table("installation"):
            raise SchemaOlder("the database schema is older than this release: run `cart-encounter deploy migrate`")
        found = installation(session)
        if found is not None and found.key_check is not None:
            _compare(found, keys)
            if _ids(keys)[0] in found.data_key_ids:
                return
    with db.write() as session:
        row = ensure(session, now)
        session.refresh(row, with_for_update=True)
        if row.key_check is None:
            _prove(session, keys)
            row.key_check, row.data_key_ids = _check_of(keys), _in_use(session, keys)
        _compare(row, keys)
        if _ids(keys)[0] not in row.data_key_ids:
            row.data_key_ids = [_ids(keys)[0], *row.data_key_ids]
        session.add(row)


def would_open(session: Session, keys: Keyring) -> None:
    """Check a key file against a database without recording anything.

    Raises:
        ForeignKeys: as `check_keys`.
    """
    known = inspect(session.connection()).has_table("installation")
    found = installation(session) if known else None
    if found is not None and found.key_check is not None:
        _compare(found, keys)
    else:
        _prove(session, keys)


def _compare(row: Installation, keys: Keyring) -> None:
    if row.key_check != _check_of(keys):
        raise ForeignKeys("it is not the key file of this database: put the installation's own keys.json back")
    if lacking := sorted(set(row.data_key_ids) - set(_ids(keys))):
        raise ForeignKeys(
            f"it lacks data key {', '.join(lacking)}, which values of this database are sealed with: it is older than the last "
            "key rotation; put the newest keys.json back"
        )


def _samples(session: Session) -> list[tuple[bytes, str]]:
    """The newest sealed values of the database, and what each is sealed for."""
    found = []
    if patient := session.exec(select(Patient).order_by(col(Patient.created_at).desc()).limit(1)).first():
        found.append((patient.identity, sealed_for("patients.identity", patient.patient_ref)))
    if event := session.exec(select(Inbox).order_by(col(Inbox.received_at).desc()).limit(1)).first():
        found.append((event.body, sealed_for("inbox.body", event.event_id)))
    return found


def _in_use(session: Session, keys: Keyring) -> list[str]:
    return [_ids(keys)[0], *sorted(keys_in_use(session) - {_ids(keys)[0]})]


def _prove(session: Session, keys: Keyring) -> None:
    """Open the newest sealed values, and find an identifier by its keyed hash.

    Raises:
        ForeignKeys: they do not open, or the hash is another.
    """
    try:
        for sealed, purpose in _samples(session):
            keys.open(sealed, purpose)
        if alias := session.exec(select(Alias).where(Alias.kind == ORDER).limit(1)).first():
            value = keys.open(alias.value, sealed_for("aliases.value", alias.alias_key)).decode()
            if alias.alias_key != alias_key(keys, value):
                raise SealBroken("another hash key")
    except SealBroken:
        raise ForeignKeys(
            "it does not open what this database holds: put the installation's own keys.json back"
        ) from None


def note_keys(session: Session, keys: Keyring, now: datetime) -> None:
    """Note which keys are in use after a reseal."""
    row = ensure(session, now)
    row.data_key_ids = _in_use(session, keys)
    session.add(row)
