"""`cart-encounter vault`: key rotation, erasure and pruning, on the database of the settings."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.process.connect import open_vault
from app.settings import Settings
from intake.inbox import closing, quarantine
from store import rotation
from store.config import ConfigCache
from store.engine import Database, Session
from store.erasure import StillOpen, erase_patient
from store.identifiers import look_up
from store.installation import note_keys
from store.keys import KeyFileError, Keyring
from store.pruning import prune
from store.tables import Quarantine
from store.vault import COMMAND_LINE, audit

vault_app = typer.Typer(no_args_is_help=True, help="Vault keys, patient erasure, retention.")

DataDir = Annotated[str, typer.Option("--data-dir", help="data directory of the stack (default: from the environment)")]


def _settings(data_dir: str) -> Settings:
    settings = Settings()
    return settings.model_copy(update={"data_dir": type(settings.data_dir)(data_dir)}) if data_dir else settings


@vault_app.command("stage-key")
def stage_key(data_dir: DataDir = "") -> None:
    """Step 1 of key rotation: add a new key, not used yet. Restart every process, then run `activate-key`."""
    keys = rotation.stage_key(_settings(data_dir).key_file)
    print(f"{len(keys.data_keys)} keys; restart every process, then run activate-key")


@vault_app.command("activate-key")
def activate_key(data_dir: DataDir = "") -> None:
    """Step 2 of key rotation: encrypt with the new key from now on. Restart every process, then run `reseal`."""
    rotation.activate_key(_settings(data_dir).key_file)
    print("the staged key is active; restart every process, then run reseal")


@vault_app.command("reseal")
def reseal(data_dir: DataDir = "") -> None:
    """Step 3 of key rotation: encrypt older data again with the newest key. The stack may keep running."""
    settings = _settings(data_dir)
    try:
        db, keys = open_vault(settings)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    counts = rotation.reseal(db, keys)
    with db.write() as session:
        note_keys(session, keys, datetime.now(UTC))
        audit(session, COMMAND_LINE, "reseal", "(vault)", f"resealed {sum(counts.values())}", datetime.now(UTC))
    for column, count in counts.items():
        print(f"{column}: {count}")
    db.close()


@vault_app.command("original")
def original(
    quarantine_id: str,
    by: Annotated[str, typer.Option(help="role that reads it, for the audit log")],
    data_dir: DataDir = "",
) -> None:
    """Show the original message of a quarantine entry. It contains the patient's identity."""
    settings = _settings(data_dir)
    try:
        db, keys = open_vault(settings)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    try:
        with db.write() as session:
            found = _read_original(session, keys, quarantine_id, by)
    finally:
        db.close()
    if found is None:
        sys.exit("cart-encounter: no quarantine entry has this ID; `cart-encounter quarantine list` shows them")
    print(found.replace("\r", "\n").rstrip())


def _read_original(session: Session, keys: Keyring, quarantine_id: str, by: str) -> str | None:
    """Returns the original, or None for an unknown entry; the request is in the audit log either way."""
    try:
        found = quarantine.original(session, keys, quarantine_id, by, datetime.now(UTC))
        note = closing.note_of(keys, session.get_one(Quarantine, quarantine_id))
        return found + (f"\n\nclosed with the note: {note}" if note else "")
    except quarantine.UnknownEntry:
        return None


@vault_app.command("erase")
def erase(
    encounter: str,
    by: Annotated[str, typer.Option(help="role that decided it, for the audit log")],
    data_dir: DataDir = "",
) -> None:
    """Erase the patient of a closed encounter, given its ID or any identifier. Billing data stay, anonymous.

    This cannot be undone.
    """
    settings = _settings(data_dir)
    try:
        db, keys = open_vault(settings)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    try:
        erased = erase_patient(
            db,
            keys,
            _meant(db, keys, encounter),
            by,
            datetime.now(UTC),
            (settings.outbox, settings.inbox),
        )
    except (LookupError, StillOpen) as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    print(f"erased in {', '.join(erased)}")


def _meant(db: Database, keys: Keyring, reference: str) -> str:
    """Returns the encounter of a reference. An ID needs no lookup: an interrupted erasure has no identifiers left."""
    with db.read() as session:
        found = look_up(session, keys, reference)
    if len(found) > 1:
        raise LookupError("several encounters have this identifier; give the encounter ID")
    return found[0] if found else reference


@vault_app.command("prune")
def prune_store(
    by: Annotated[str, typer.Option(help="role that decided it, for the audit log")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be removed; remove nothing")] = False,
    data_dir: DataDir = "",
) -> None:
    """Remove exchanged files and access records past the rulebook's retention. Facts, claims and chains always stay."""
    settings = _settings(data_dir)
    rules = ConfigCache(settings.edition, settings.rules_directory, settings.site_file).rules()
    try:
        db, keys = open_vault(settings)
    except KeyFileError as error:
        sys.exit(f"cart-encounter: {error}")
    try:
        gone = prune(db, keys, rules, settings.outbox, settings.inbox, datetime.now(UTC), by, dry_run=dry_run)
    finally:
        db.close()
    print(
        f"{'would remove' if dry_run else 'removed'} {gone.claim_files} claim files and {gone.reply_files} payer files "
        f"({gone.bytes / 1e6:.1f} MB), {gone.access_records} access records"
    )
