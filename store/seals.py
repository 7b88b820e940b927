"""Sealed ledgers in the database: audit, claim submissions, inbox, alerts.

One writer seals what is new, in batches, within a minute; no request waits for it. A row is marked with its batch when it
is sealed: whatever order rows are committed in, none is passed over. `verify` reads the batches again and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import String, or_, type_coerce, update
from sqlmodel import Session, SQLModel, col, func, select, tuple_

from domain.custody.sealing import (
    GENESIS,
    Batch,
    Fault,
    batch_hash,
    check_batch,
    check_rows,
    entries_of,
    entries_text,
    place_of,
    row_hash,
)
from store.engine import Database, take_turn
from store.keys import Keyring
from store.opaque import new_id
from store.tables import (
    AlertRecord,
    AuditEntry,
    ClaimLine,
    ClaimVersion,
    Inbox,
    SealedBatch,
    SealedRemoval,
    Transmission,
    UtcDateTime,
)

SEAL_LOCK = 0x43415234
BATCH = 400
"""Rows in a batch: the write lock is held for some hundredths of a second."""
REMOVED_AT_ONCE = 400
MOMENT = "{0}{0}{0}{0}-{0}{0}-{0}{0} {0}{0}:{0}{0}:{0}{0}.{0}{0}{0}{0}{0}{0}".format("[0-9]")
"""A moment as SQLite keeps it; a pattern of GLOB."""

Values = Callable[[Session, Sequence[Any]], Iterator[tuple[str, dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows of one table that must not change once they are complete.

    Attributes:
        mark: the column with the batch of a row; None while it is not sealed.
        since: the column with the moment from which a row waits for its seal.
        complete: a condition of rows that will not change any more; None for all.
        values: key and sealed values of rows.
    """

    name: str
    table: type[SQLModel]
    mark: str
    since: str
    keys: tuple[str, ...]
    values: Values
    complete: Callable[[], Any] | None = None


def _of(*columns: str) -> Values:
    """The values of a row: its own columns, under their names; the first one is its key."""

    def values(_session: Session, rows: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in rows:
            yield str(getattr(row, columns[0])), {name: getattr(row, name) for name in columns}

    return values


def _submissions(session: Session, rows: Sequence[Transmission]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What was sent: numbers, receiver and file of a version, with what it bills."""
    wanted = [(row.encounter_id, row.letter, row.ordinal, row.version) for row in rows]
    claims = {_key(one): one for one in session.exec(select(ClaimVersion).where(_among(ClaimVersion, wanted)))}
    lines: dict[str, list[list[Any]]] = {}
    query = select(ClaimLine).where(_among(ClaimLine, wanted)).order_by(col(ClaimLine.number))
    for line in session.exec(query):
        charge = f"{line.charge:.2f}"
        day = line.date_of_service.isoformat()
        lines.setdefault(_key(line), []).append([line.number, line.revenue_code, line.hcpcs, line.units, charge, day])
    for row in rows:
        claim = claims.get(_key(row))
        sent = {name: getattr(row, name) for name in _SENT}
        billed = {name: getattr(claim, name) for name in _BILLED} if claim else {}
        yield (
            _key(row),
            {**sent, "billed": {k: _plain(v) for k, v in billed.items()}, "lines": lines.get(_key(row), [])},
        )


_SENT = (
    *("control_number", "mode", "receiver_id", "interchange", "set_number", "payer", "replaces_event", "created_at"),
    "file_digest",
)
_BILLED = ("form", "payer", "total", "frequency", "control_number")


def _plain(value: Any) -> Any:
    return f"{value:.2f}" if hasattr(value, "quantize") else value


def _key(row: Any) -> str:
    return f"{row.encounter_id}/{row.letter}/{row.ordinal}/{row.version}"


def _among(table: Any, wanted: Sequence[tuple[str, str, int, int]]) -> Any:
    return tuple_(table.encounter_id, table.letter, table.ordinal, table.version).in_(wanted)


def _endings(_session: Session, rows: Sequence[AlertRecord]) -> Iterator[tuple[str, dict[str, Any]]]:
    names = ("alert_id", "severity", "escalations", "acknowledged_at", "acknowledged_by", "resolved_at")
    for row in rows:
        yield row.alert_id, {name: getattr(row, name) for name in names}


def _contents(_session: Session, rows: Sequence[Inbox]) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        yield row.event_id, {"event_id": row.event_id, "body": hashlib.sha256(row.body).hexdigest()}


VERSION_KEY = ("encounter_id", "letter", "ordinal", "version")
LEDGERS: tuple[Ledger, ...] = (
    Ledger(
        *("audit", AuditEntry, "sealed_in", "at", ("audit_id",)),
        _of("audit_id", "at", "actor", "action", "target", "outcome"),
    ),
    Ledger(
        *("submissions", Transmission, "sealed_in", "written_at", VERSION_KEY),
        _submissions,
        lambda: col(Transmission.written_at).is_not(None),
    ),
    Ledger(
        *("inbox", Inbox, "sealed_in", "received_at", ("event_id",)),
        _of("event_id", "dedupe_key", "body_hash", "type", "feed", "time", "received_at"),
    ),
    Ledger(*("contents", Inbox, "content_sealed_in", "received_at", ("event_id",)), _contents),
    Ledger(
        *("alerts", AlertRecord, "sealed_in", "opened_at", ("alert_id",)),
        _of("alert_id", "encounter_id", "key", "kind", "since", "opened_at"),
    ),
    Ledger(
        *("alerts acknowledged", AlertRecord, "acknowledgment_sealed_in", "acknowledged_at", ("alert_id",)),
        _of("alert_id", "acknowledged_at", "acknowledged_by"),
        lambda: col(AlertRecord.acknowledged_at).is_not(None),
    ),
    Ledger(
        *("alerts resolved", AlertRecord, "end_sealed_in", "resolved_at", ("alert_id",)),
        _endings,
        lambda: AlertRecord.state == "resolved",
    ),
    Ledger(
        *("removals", SealedRemoval, "sealed_in", "at", ("removal_id",)),
        _of("removal_id", "ledger", "row_keys", "reason", "actor", "at"),
    ),
)
"""Every ledger. `removals` comes last: what others miss is looked up there."""
BY_NAME: Mapping[str, Ledger] = {ledger.name: ledger for ledger in LEDGERS}


class Signer:
    """Signs batches and removals with a key derived from the key file; the file itself does not change."""

    def __init__(self, keys: Keyring) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"cart-encounter seals").derive(keys.hash_key)
        self._key = Ed25519PrivateKey.from_private_bytes(derived)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes: who has it can check signatures and make none."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, text: str) -> bytes:
        return self._key.sign(text.encode())


def signed_by(public: bytes, text: str, signature: bytes) -> bool:
    """Whether a signature is that of the installation with this public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def seal_batch(db: Database, keys: Keyring, ledger: Ledger, now: datetime) -> int:
    """Seal the next rows of a ledger in one short transaction; returns how many. Two writers never seal a row twice."""
    with db.write() as session:
        take_turn(session, SEAL_LOCK)
        # Rows that another transaction holds wait for the next round: the writer never waits for a request while it holds
        # rows itself, so neither blocks the other and no request is the victim of a deadlock.
        free = _unsealed(ledger).limit(BATCH).with_for_update(skip_locked=True, key_share=True)
        rows = session.exec(free).all()
        if not rows:
            return 0
        query = select(SealedBatch.position, SealedBatch.hash).where(SealedBatch.ledger == ledger.name)
        last = session.exec(query.order_by(col(SealedBatch.position).desc()).limit(1)).first()
        position, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
        entries = entries_text((key, row_hash(values)) for key, values in ledger.values(session, rows))
        digest = batch_hash(ledger.name, position, now, entries, previous)
        session.add(
            SealedBatch(
                ledger=ledger.name,
                position=position,
                sealed_at=now,
                entries=entries,
                previous_hash=previous,
                hash=digest,
                signature=Signer(keys).sign(digest),
            )
        )
        session.flush()
        # Not through the objects: other columns of a row may change meanwhile, and a mark is no step for the log.
        table: Any = ledger.table
        change = update(table).where(_are(ledger, rows)).values({ledger.mark: position})
        session.execute(change.execution_options(synchronize_session=False))
        return len(rows)


def _are(ledger: Ledger, rows: Sequence[Any]) -> Any:
    columns = [getattr(ledger.table, name) for name in ledger.keys]
    own = [tuple(getattr(row, name) for name in ledger.keys) for row in rows]
    return tuple_(*columns).in_(own) if len(columns) > 1 else columns[0].in_([one for (one,) in own])


def _unsealed(ledger: Ledger) -> Any:
    table: Any = ledger.table
    query = select(table).where(getattr(table, ledger.mark).is_(None))
    return query.where(ledger.complete()) if ledger.complete else query


def removed(
    session: Session, keys: Keyring, ledger: str, row_keys: Iterable[str], reason: str, actor: str, at: datetime
) -> None:
    """Record that rows of a ledger are removed on purpose, in the transaction that removes them."""
    found = sorted(row_keys)
    for start in range(0, len(found), REMOVED_AT_ONCE):
        part = found[start : start + REMOVED_AT_ONCE]
        removal_id = new_id("rem")
        signature = Signer(keys).sign(_removal_text(removal_id, ledger, part))
        session.add(
            SealedRemoval(
                removal_id=removal_id,
                ledger=ledger,
                row_keys=part,
                reason=reason,
                actor=actor,
                at=at,
                signature=signature,
            )
        )


def replaced(session: Session, keys: Keyring, ledger: Ledger, rows: Sequence[Any], reason: str, actor: str) -> None:
    """Record that sealed rows get other content on purpose, before they do and in the same transaction.

    They are sealed again as they are then. A row that is not what was sealed keeps its mark: it stays a fault.
    """
    if not rows:
        return
    # Read again under a lock: the writer may have sealed a row since it was loaded, and passes over what is locked.
    table: Any = ledger.table
    under_lock = select(table).where(_are(ledger, rows)).with_for_update().execution_options(populate_existing=True)
    rows = session.exec(under_lock).all()
    different = differing_rows(session, ledger, rows)
    for row in rows:
        mark = getattr(row, ledger.mark)
        key = next(key for key, _ in ledger.values(session, [row]))
        if mark is not None and key not in different:
            removed(session, keys, ledger.name, [place_of(mark, key)], reason, actor, datetime.now(UTC))
            setattr(row, ledger.mark, None)


def differing_rows(session: Session, ledger: Ledger, rows: Sequence[Any]) -> set[str]:
    """The keys of sealed rows that are not what was sealed. A row that was never sealed differs from nothing."""
    marks = {getattr(row, ledger.mark) for row in rows} - {None}
    entries: dict[str, str] = {}
    for position in marks:
        batch = session.get(SealedBatch, (ledger.name, position))
        entries |= dict(entries_of(batch.entries) or ()) if batch else {}
    sealed = [row for row in rows if getattr(row, ledger.mark) is not None]
    return {key for key, values in ledger.values(session, sealed) if entries.get(key) != row_hash(values)}


def _removal_text(removal_id: str, ledger: str, row_keys: Sequence[str]) -> str:
    return entries_text([(removal_id, ledger), *((key, "removed") for key in row_keys)])


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The result of a check: faults in the order of the batches, and what is not sealed yet."""

    ledger: str
    batches: int
    rows: int
    head: str
    faults: tuple[Fault, ...]
    unsealed: int
    oldest_unsealed: datetime | None
    unsealed_keys: tuple[str, ...]


def check(
    session: Session, ledger: Ledger, public: bytes | None, since: Mapping[int, str] | None = None
) -> LedgerState:
    """Compare a ledger with its batches.

    Args:
        public: the public key of the installation; without one signatures are not checked.
        since: hashes that batches had before, by position: those batches must still be there.
    """
    removals, faults = _removals(session, ledger.name, public)
    known = dict(since or {})
    previous, position, rows = GENESIS, 0, 0
    for position, batch in enumerate(_batches(session, ledger.name), start=1):
        faults += _batch_faults(session, ledger, batch, position, previous, removals, public)
        if batch.hash != known.pop(batch.position, batch.hash):
            faults.append(Fault(ledger.name, batch.position, None, "the batch is not the one of the earlier check"))
        previous, rows = batch.hash, rows + len(entries_of(batch.entries) or ())
    faults += [Fault(ledger.name, at, None, "a batch of the earlier check is missing") for at in sorted(known)]
    table: Any = ledger.table
    mark = getattr(table, ledger.mark)
    strays = session.exec(select(table).where((mark > position) | (mark < 1)).limit(10)).all()
    for key, _ in ledger.values(session, strays):
        faults.append(Fault(ledger.name, position + 1, key, "the row names a batch that does not exist"))
    waiting, oldest, names = unsealed(session, ledger)
    return LedgerState(ledger.name, position, rows, previous, tuple(faults), waiting, oldest, names)


def check_one(session: Session, ledger: Ledger, position: int, public: bytes) -> tuple[Fault, ...] | None:
    """The faults of one batch; None if there is no such batch."""
    batch = session.get(SealedBatch, (ledger.name, position))
    if batch is None:
        return None
    before = session.get(SealedBatch, (ledger.name, position - 1))
    removals, faults = _removals(session, ledger.name, public)
    previous = before.hash if before else GENESIS if position == 1 else batch.previous_hash
    return (*faults, *_batch_faults(session, ledger, _stored(batch), position, previous, removals, public))


def _batch_faults(
    session: Session,
    ledger: Ledger,
    batch: Batch,
    position: int,
    previous: str,
    removals: Mapping[str, str],
    public: bytes | None,
) -> list[Fault]:
    wrong = check_batch(batch, position, previous)
    if wrong is None and public is not None and not signed_by(public, batch.hash, batch.signature):
        wrong = Fault(ledger.name, position, None, "the signature is not of this installation's key file")
    this = (col(SealedBatch.ledger) == batch.ledger) & (col(SealedBatch.position) == batch.position)
    if wrong is None and _respelled(session, SealedBatch, this):
        wrong = Fault(ledger.name, position, None, "the batch is not what was sealed")
    return [*([wrong] if wrong else ()), *check_rows(batch, _found(session, ledger, batch), removals)]


def _found(session: Session, ledger: Ledger, batch: Batch) -> dict[str, str]:
    table: Any = ledger.table
    own = getattr(table, ledger.mark) == batch.position
    rows = session.exec(select(table).where(own)).all()
    found = {key: row_hash(values) for key, values in ledger.values(session, rows)}
    return found | {key: "" for key, _ in ledger.values(session, _respelled(session, table, own))}


def _respelled(session: Session, table: Any, own: Any) -> Sequence[Any]:
    """Rows with a moment in another spelling than this program writes. SQLite keeps text: another one may read the same."""
    if session.get_bind().dialect.name != "sqlite":
        return ()
    moments = [type_coerce(one, String) for one in table.__table__.columns if isinstance(one.type, UtcDateTime)]
    return session.exec(select(table).where(own, or_(*(one.op("NOT GLOB")(MOMENT) for one in moments)))).all()


def _batches(session: Session, ledger: str) -> Iterator[Batch]:
    after = 0
    query = select(SealedBatch).where(SealedBatch.ledger == ledger).order_by(col(SealedBatch.position))
    while rows := session.exec(query.where(SealedBatch.position > after).limit(20)).all():
        yield from map(_stored, rows)
        after = rows[-1].position
        session.expunge_all()


def _stored(row: SealedBatch) -> Batch:
    return Batch(row.ledger, row.position, row.sealed_at, row.entries, row.previous_hash, row.hash, row.signature)


def _removals(session: Session, ledger: str, public: bytes | None) -> tuple[dict[str, str], list[Fault]]:
    """Keys of rows removed on purpose; a removal that is not signed excuses nothing."""
    found: dict[str, str] = {}
    faults = []
    for row in session.exec(select(SealedRemoval).where(SealedRemoval.ledger == ledger)):
        if public is None or signed_by(public, _removal_text(row.removal_id, row.ledger, row.row_keys), row.signature):
            found |= dict.fromkeys(row.row_keys, row.reason)
        else:
            faults.append(Fault(ledger, 0, row.removal_id, "the removal is not signed by this installation's key file"))
    return found, faults


def unsealed(session: Session, ledger: Ledger, names: int = 10) -> tuple[int, datetime | None, tuple[str, ...]]:
    """How many complete rows are not sealed yet, since when, and the keys of the first."""
    table: Any = ledger.table
    since = getattr(table, ledger.since)
    query = select(func.count(), func.min(since)).where(getattr(table, ledger.mark).is_(None))
    count, oldest = session.exec(query.where(ledger.complete()) if ledger.complete else query).one()
    if not count or not names:
        return count, oldest, ()
    first = session.exec(_unsealed(ledger).order_by(since).limit(names)).all()
    return count, oldest, tuple(key for key, _ in ledger.values(session, first))


def heads(session: Session) -> dict[str, tuple[int, str]]:
    """Position and hash of the last batch of each ledger that has one."""
    found = {}
    for ledger in LEDGERS:
        query = select(SealedBatch.position, SealedBatch.hash).where(SealedBatch.ledger == ledger.name)
        last = session.exec(query.order_by(col(SealedBatch.position).desc()).limit(1)).first()
        if last:
            found[ledger.name] = (int(last[0]), str(last[1]))
    return found
