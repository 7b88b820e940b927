"""Checks the sealed ledgers, writes their heads, and compares them with heads written earlier."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from app.settings import COMMAND, Settings
from domain.custody.ledger import GENESIS
from store.engine import Database
from store.keys import KeyFileError, Keyring, read_keyring
from store.queries.custody import index_entries
from store.seals import BY_NAME, LEDGERS, Ledger, LedgerState, Signer, check, heads, signed_by
from store.sending import compared_files
from store.vault import COMMAND_LINE, audit

MOST_NAMED = 20


class HeadsError(ValueError):
    """The file of heads cannot be used; the message says why."""


class LedgerHead(BaseModel):
    """The last batch of a ledger."""

    model_config = ConfigDict(extra="forbid")
    position: int
    hash: str


class Heads(BaseModel):
    """The heads of every ledger and of the index of custody chains at one moment, signed by the installation."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["cart-encounter heads 1"] = "cart-encounter heads 1"
    made_at: AwareDatetime
    public_key: str
    custody: str
    ledgers: dict[str, LedgerHead]
    signature: str = ""

    @property
    def text(self) -> str:
        """What is signed."""
        return self.model_dump_json(exclude={"signature"})


def verify_ledgers(settings: Settings, names: Iterable[str] = (), since: Path | None = None) -> int:
    """Prints one line per ledger and one per fault; returns 0 if all are intact, 1 if not, 2 if `since` cannot be used.

    Args:
        names: ledgers to check; by default all.
        since: a file of heads written earlier: what was sealed then must still be there.
    """
    keys = _keys(settings)
    try:
        earlier = _read_heads(since, keys) if since else None
    except (OSError, HeadsError) as error:
        print(f"{since}: {error}")
        return 2
    public = Signer(keys).public if keys else bytes.fromhex(earlier.public_key) if earlier else None
    if public is None:
        print("signatures not checked: no key file, and no file of heads with the public key")
    wanted = [BY_NAME[name] for name in names] or LEDGERS
    broken = False
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        for ledger in wanted:
            with db.read() as session:
                state = check(session, ledger, public, _since(earlier, ledger))
            _print(state)
            broken = broken or bool(state.faults)
        if not names:
            broken = _files(db, settings.outbox) or broken
        if earlier and earlier.custody != GENESIS:
            with db.read() as session:
                known = {entry.hash for entry in index_entries(session, None)}
            if earlier.custody not in known:
                print("index of custody chains: the earlier head is missing: entries were removed or replaced since")
                broken = True
    finally:
        db.close()
    return 1 if broken else 0


def _files(db: Database, outbox: Path) -> bool:
    """Prints how many claim files are as they were sent, and each that is not; returns whether there is one."""
    with db.read() as session:
        alike, differing = compared_files(session, outbox)
    print(f"claim files: {alike} as sent" + (f", {len(differing)} changed" if differing else ""))
    for path in differing[:MOST_NAMED]:
        print(
            f"  {path}: not what was sent; compare it with the copy at the clearinghouse (`cart-encounter reconcile`)"
        )
    return bool(differing)


def write_heads(settings: Settings, path: Path) -> int:
    """Writes the heads to a new file; keep it where the database's administrators cannot write.

    Raises:
        KeyFileError: the key file is missing; heads are signed with it.
        FileExistsError: the file exists already.
    """
    keys = read_keyring(settings.key_file)
    signer, now = Signer(keys), datetime.now(UTC)
    db = Database(settings.database, limits=settings.limits(COMMAND))
    try:
        with db.write() as session:
            entries = index_entries(session, None)
            made = Heads(
                made_at=now,
                public_key=signer.public.hex(),
                custody=entries[-1].hash if entries else GENESIS,
                ledgers={name: LedgerHead(position=at, hash=digest) for name, (at, digest) in heads(session).items()},
            )
            audit(session, COMMAND_LINE, "export heads", "(all)", "read", now)
    finally:
        db.close()
    signed = made.model_copy(update={"signature": signer.sign(made.text).hex()})
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(json.loads(signed.model_dump_json()), indent=2) + "\n")
    print(f"{path.name}: heads of {len(made.ledgers)} ledgers and of the custody chains")
    return 0


def _since(earlier: Heads | None, ledger: Ledger) -> dict[int, str]:
    head = earlier.ledgers.get(ledger.name) if earlier else None
    return {head.position: head.hash} if head else {}


def _print(state: LedgerState) -> None:
    counted = f"{state.rows} rows in {state.batches} batches"
    verdict = f"broken in {len(state.faults)} places" if state.faults else f"intact, head {state.head}"
    print(f"{state.ledger}: {counted}, {verdict}")
    for fault in state.faults[:MOST_NAMED]:
        print(f"  {fault}")
    if len(state.faults) > MOST_NAMED:
        print(f"  and {len(state.faults) - MOST_NAMED} more")
    if state.unsealed and state.oldest_unsealed:
        more = ", …" if state.unsealed > len(state.unsealed_keys) else ""
        print(
            f"  not sealed yet: {state.unsealed} since {state.oldest_unsealed.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC "
            f"({', '.join(state.unsealed_keys)}{more}); a running worker seals them within a minute"
        )


def _read_heads(path: Path, keys: Keyring | None) -> Heads:
    try:
        found = Heads.model_validate_json(path.read_bytes())
        public, signature = bytes.fromhex(found.public_key), bytes.fromhex(found.signature)
    except (ValidationError, ValueError):
        raise HeadsError("not a file of `verify --write-heads`") from None
    if not signed_by(public, found.text, signature):
        raise HeadsError("the file was changed: its signature does not fit")
    if keys is not None and Signer(keys).public != public:
        raise HeadsError("the file is of another installation")
    return found


def _keys(settings: Settings) -> Keyring | None:
    try:
        return read_keyring(settings.key_file)
    except KeyFileError:
        return None
