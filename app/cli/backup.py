"""`cart-encounter backup`: a consistent copy of the database while the stack runs."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from app.process.connect import open_vault
from app.process.installation import MARKER
from app.settings import Settings
from domain.custody.ledger import GENESIS
from store import backup as backups
from store.outbox_index import INDEX
from store.vault import COMMAND_LINE, audit

DATABASE, DUMP = "encounters.db", "cart.dump"


def backup(
    directory: Annotated[Path, typer.Argument(help="directory for the backup; made if missing")],
    keys_to: Annotated[
        Optional[Path],
        typer.Option("--keys-to", help="another directory for key file and token; never beside the database"),
    ] = None,
    data_dir: Annotated[Optional[Path], typer.Option("--data-dir", help="data directory of the installation")] = None,
) -> None:
    """Copy the database whole while everything runs; prints the head of the chain to record with it."""
    base = Settings()
    settings = base.model_copy(update={"data_dir": data_dir}) if data_dir else base
    if keys_to is not None and keys_to.resolve() == directory.resolve():
        sys.exit("cart-encounter: --keys-to must be another directory: together they disclose every patient")
    for each in filter(None, (directory, keys_to)):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    db, _ = open_vault(settings)
    try:
        file = backups.sqlite_file(settings.database)
        target = directory / (DATABASE if file else DUMP)
        if target.exists():
            sys.exit(f"cart-encounter: {target} exists; choose another directory")
        if file is not None:
            backups.copy_sqlite(file, target)
        else:
            backups.dump_postgres(settings.database, target)
        for path in (settings.data_dir / MARKER, settings.outbox / INDEX):
            if path.exists():
                shutil.copy2(path, directory / path.name)
        if keys_to is not None:
            for path in (settings.key_file, settings.token_file):
                shutil.copy2(path, keys_to / path.name)
        with db.write() as session:
            head = backups.chain_head(session) or GENESIS
            audit(session, COMMAND_LINE, "backup", "(database)", "written", datetime.now(UTC))
    except backups.CannotRestore as error:
        sys.exit(f"cart-encounter: {error}")
    finally:
        db.close()
    print(f"{target}: written; head {head}")
    print(f"record the head elsewhere: `cart-encounter verify --since {head}` checks it after a restore")
    if keys_to is None:
        print(f"the key file is not in it: without {settings.key_file} no one can read it")
