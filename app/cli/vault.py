"""`cart-encounter vault`: key rotation and erasure, on the database of the settings."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.settings import Settings
from intake.inbox import closing, quarantine
from store import rotation
from store.config import ConfigCache
from store.engine import Database, Session
from store.erasure import StillOpen, erase_patient
from store.identifiers import look_up
from store.keys import KeyFileError, Keyring, read_keyring
from store.pruning import prune
from store.tables import Quarantine
from store.vault import COMMAND_LINE, audit

vault_app = typer.Typer(no_args_is_help=True, help="Keys of the vault, erasure of a patient, what is past its time.")

DataDir = Annotated[str, typer.Option("--data-dir", help="data directory of the stack; the environment's if absent")]


def _settings(data_dir: str) -> Settings:
    settings = Settings()
    return settings.model_copy(update={"data_dir": type(settings.data_dir)(data_dir)}) if data_dir else settings


@vault_app.command("stage-key")
def stage_key(data_dir: DataDir = "") -> None:
    """Add a new key that nothing is sealed with yet. Restart every process, then `activate-key`."""
    keys = rotation.stage_key(_settings(data_dir).key_file)
    print(f"{len(keys.data_keys)} keys; restart every process, then activate-key")


@vault_app.command("activate-key")
def activate_key(data_dir: DataDir = "") -> None:
    """Seal with the key staged last. Restart every process, then `reseal`."""
    rotation.activate_key(_settings(data_dir).key_file)
    print("the staged key is the newest; restart every process, then reseal")


@vault_app.command("reseal")
def reseal(data_dir: DataDir = "") -> None:
    """Seal again with the newest key whatever an older one sealed. May run beside a running stack."""
    settings = _settings(data_dir)
    try:
        keys = read_keyring(settings.key_file)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    db = Database(settings.database)
    counts = rotation.reseal(db, keys)
    with db.write() as session:
        audit(session, COMMAND_LINE, "reseal", "(vault)", f"resealed {sum(counts.values())}", datetime.now(UTC))
    for column, count in counts.items():
        print(f"{column}: {count}")
    db.close()


@vault_app.command("original")
def original(
    quarantine_id: str,
    by: Annotated[str, typer.Option(help="who reads it: a role, for the audit")],
    data_dir: DataDir = "",
) -> None:
    """Show what a quarantine entry came as, to correct the mapping or the sender by. It names the patient."""
    settings = _settings(data_dir)
    db = Database(settings.database)
    try:
        keys = read_keyring(settings.key_file)
        with db.write() as session:
            found = _read_original(session, keys, quarantine_id, by)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    if found is None:
        sys.exit("cart-encounter: no quarantine entry has this id; GET /v1/quarantine lists them")
    print(found.replace("\r", "\n").rstrip())


def _read_original(session: Session, keys: Keyring, quarantine_id: str, by: str) -> str | None:
    """None for an unknown entry; that somebody asked stays on record."""
    try:
        found = quarantine.original(session, keys, quarantine_id, by, datetime.now(UTC))
        note = closing.told(keys, session.get_one(Quarantine, quarantine_id))
        return found + (f"\n\nclosed with the note: {note}" if note else "")
    except quarantine.UnknownEntry:
        return None


@vault_app.command("erase")
def erase(
    encounter: str,
    by: Annotated[str, typer.Option(help="who decided it: a role, for the audit")],
    data_dir: DataDir = "",
) -> None:
    """Erase the patient of a closed encounter, named by its id or any identifier of it; what was billed stays, anonymous.

    It cannot be undone.
    """
    settings = _settings(data_dir)
    db = Database(settings.database)
    try:
        keys = read_keyring(settings.key_file)
        erased = erase_patient(
            db,
            keys,
            _meant(db, keys, encounter),
            by,
            datetime.now(UTC),
            (settings.outbox, settings.inbox),
        )
    except (LookupError, StillOpen, KeyFileError) as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    print(f"erased in {', '.join(erased)}")


def _meant(db: Database, keys: Keyring, reference: str) -> str:
    """The encounter of a reference. Its id is taken as it is: an erasure that broke off has no identifiers left."""
    with db.read() as session:
        found = look_up(session, keys, reference)
    if len(found) > 1:
        raise LookupError("several encounters have this identifier; name the one by its id")
    return found[0] if found else reference


@vault_app.command("prune")
def prune_store(
    by: Annotated[str, typer.Option(help="who decided it: a role, for the audit")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, remove nothing")] = False,
    data_dir: DataDir = "",
) -> None:
    """Remove exchanged files and access records past the spans of the rulebook. Facts, claims and chains are never touched."""
    settings = _settings(data_dir)
    rules = ConfigCache(settings.edition, settings.rules_directory, settings.site_file).rules()
    db = Database(settings.database)
    try:
        gone = prune(db, rules, settings.outbox, settings.inbox, datetime.now(UTC), by, dry_run=dry_run)
    finally:
        db.close()
    print(
        f"{'would remove' if dry_run else 'removed'} {gone.claim_files} claim files and {gone.reply_files} payers' files "
        f"({gone.bytes / 1e6:.1f} MB), {gone.access_records} access records"
    )
